"""What a transport is given for one profile: its secrets, tokens, TLS contexts, threads, log and explanations."""

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from recapito.access import NO_TOKEN, Access
from recapito.catalogue import problem
from recapito.client_context import ClientContext
from recapito.errors import Held, Misconfigured
from recapito.problem import Problem
from recapito.profile import Found
from recapito.redaction import RedactingLog
from recapito.reply import ServerReply
from recapito.secret import Secrets
from recapito.transport import Token
from recapito.workers import Workers

if TYPE_CHECKING:
    from recapito.catalogue import Catalogue
    from recapito.oauth.vault import Holder, Vault

__all__ = ["ProfileContext", "TlsContexts"]

P = ParamSpec("P")
T = TypeVar("T")

#: Contexts that are kept; one costs 20 ms and about 1 MB.
_KEPT = 64


class TlsContexts:
    """Verifying client contexts, one for each set of trusted authorities. Any thread may ask."""

    def __init__(self) -> None:
        self._made: OrderedDict[str | None, ssl.SSLContext] = OrderedDict()
        self._lock = Lock()

    def get(self, extra_ca: str | None = None) -> ssl.SSLContext:
        """The context that trusts ``extra_ca`` (PEM) besides the system's authorities; Misconfigured (TLS-CA)."""
        with self._lock:
            if extra_ca not in self._made:
                self._made[extra_ca] = _verifying(extra_ca)
                if len(self._made) > _KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(extra_ca)
            return self._made[extra_ca]


def _verifying(extra_ca: str | None) -> ssl.SSLContext:
    import ssl

    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.11 still accepts a certificate that has a common name only.
    made.hostname_checks_common_name = False
    if extra_ca is not None:
        try:
            made.load_verify_locations(cadata=extra_ca)
        except (ssl.SSLError, ValueError) as exc:
            raise Misconfigured(problem("TLS-CA", reason=getattr(exc, "reason", None) or str(exc))) from exc
    return made


class ProfileContext:
    """Implements :class:`recapito.transport.Context` for one profile, as it was found at one moment."""

    def __init__(
        self,
        found: Found,
        catalogue: "Catalogue",
        tls: TlsContexts,
        workers: Workers,
        access: Access = NO_TOKEN,
        vault: "Callable[[], Vault] | None" = None,
    ) -> None:
        self._found = found
        self._catalogue = catalogue
        self._tls = tls
        self._workers = workers
        #: What tokens are had with.
        self.access = access
        self._vault = vault
        self._holder: Holder | None = None
        #: Whether the server has accepted a message of this profile as it is now; None: not known.
        self.worked: bool | None = None
        profile = found.profile
        self._log = RedactingLog(
            logging.getLogger(f"recapito.transport.{profile.transport}"),
            {"operator": str(profile.key), "transport": profile.transport},
            found.secrets,
            str(profile.settings.get("username") or profile.sender),
        )

    @property
    def secrets(self) -> Secrets:
        """The secrets of this profile, for this transport."""
        return self._found.secrets

    @property
    def client(self) -> Mapping[str, Any]:
        """The settings of the client that the profile signs in through; empty where it has none."""
        return self.access.client.settings if self.access.client else {}

    @property
    def log(self) -> RedactingLog:
        """The redacting log of this profile and transport."""
        return self._log

    async def token(self, resource: str, *, refused: Token | None = None) -> Token:
        """A token of the vault's, renewed where that is needed.

        Raises Held where a person must act: nobody has signed in (SIGN-IN-MISSING), or as another than the
        sender (OAUTH-OTHER-USER), the company has no client (CLIENT-MISSING), the mailer no store
        (SIGN-IN-STORE), the grant is dead; NotSent where it could not be renewed for now.
        """
        holder = self.holder()
        return await self.vault().token(holder, resource, refused=refused)

    def holder(self) -> "Holder":
        """Whose tokens they are, for the vault. Raises Held as :meth:`token`."""
        if self._holder is None:
            self._holder = self._made_holder()
        return self._holder

    def vault(self) -> "Vault":
        """The mailer's vault. Raises Held (SIGN-IN-STORE) where it has no store to keep grants in."""
        if self._vault is None:
            profile = self._found.profile
            raise Held(problem("SIGN-IN-STORE", profile=str(profile.key), transport=profile.transport))
        return self._vault()

    def signing(self) -> ClientContext:
        """What the sign-in of this profile is given; Held (CLIENT-MISSING) as :meth:`token`."""
        access = self.access
        if access.client is None:
            raise Held(access.objection or self._missing())
        return ClientContext(
            self._found.profile.key, access.client, self._catalogue, self._tls.get, self._workers
        )

    def _made_holder(self) -> "Holder":
        access, profile = self.access, self._found.profile
        if access.objection is not None or access.make is None:
            raise Held(access.objection or self._missing())
        from recapito.oauth.vault import Holder

        return Holder(
            key=profile.key,
            transport=profile.transport,
            sign_in=access.sign_in,
            make=access.make,
            context=self.signing,
            grant_id=access.grant_id,
            client_revision=access.client_revision,
            account=access.account,
            scopes=access.scopes,
        )

    def _missing(self) -> Problem:
        """Its transport asks for tokens, and names no sign-in that gives them."""
        profile = self._found.profile
        key = profile.key
        return problem(
            "SIGN-IN-MISSING", profile=str(key), transport=profile.transport, operator=key.operator
        )

    def tls(self, extra_ca: str | None = None) -> ssl.SSLContext:
        """A verifying context that trusts ``extra_ca`` (PEM) too; kept for the next session."""
        return self._tls.get(extra_ca)

    async def in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """``function`` in a worker thread that sees this context's variables and never keeps the process alive."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, partial(function, *args, **kwargs))

    def explain(self, reply: ServerReply) -> Problem:
        """The problem behind a reply, by the catalogue's rules and those of installed plugins."""
        if self.worked is not None:
            reply = replace(reply, params={"worked": int(self.worked), **reply.params})
        return self._catalogue.explain(reply)
