"""What a profile signs in with besides its own secrets: the company's client, and the grant of the operator."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from recapito.accounts import same_account
from recapito.catalogue import problem
from recapito.settings import completed
from recapito.signin import Client, SignIn

if TYPE_CHECKING:
    from recapito.plugins import Plugins
    from recapito.problem import Problem
    from recapito.profile import Profile, ProfileKey
    from recapito.store import GrantRow, Store
    from recapito.transport import TransportInfo

__all__ = ["NO_PERSON", "NO_TOKEN", "Access", "AccessReader", "client_of", "no_client"]

#: The kinds of sign-in for which there is nobody to ask: the first need of a token makes the grant.
NO_PERSON = frozenset({"app", "service-account"})


@dataclass(frozen=True, slots=True)
class Access:
    """How one profile gets its tokens, as it was read at one moment.

    ``sign_in`` is the transport's name for it, empty where the profile needs no token (a password). ``objection``
    is why there is none to be had, known without asking anybody. ``make`` makes the sign-in, ``account`` is whose
    the grant is (empty: not told), ``scopes`` what the profile asks for.
    """

    sign_in: str = ""
    client: Client | None = None
    grant_id: str = ""
    objection: "Problem | None" = None
    make: Callable[[], SignIn] | None = field(default=None, compare=False, repr=False)
    account: str = ""
    scopes: frozenset[str] = frozenset()

    @property
    def client_revision(self) -> str:
        """The revision of the client; empty where the company has none."""
        return self.client.revision if self.client else ""

    @property
    def generation(self) -> str:
        """Differs once the grant was given or taken away, or the client was changed; not when it was renewed."""
        return f"{self.grant_id} {self.client_revision}" if self.sign_in else ""


#: That of a profile that needs no token.
NO_TOKEN = Access()


class AccessReader:
    """Reads it for one mailer. Blocking; any thread.

    What the store has is remembered until :meth:`forget`, which is called when the store's version says that
    something changed: a host that keeps the profiles itself is asked at each send, the store is not.
    """

    def __init__(self, plugins: "Plugins", store: "Store | None") -> None:
        self._plugins = plugins
        self._store = store
        self._kept: dict[ProfileKey, tuple[Profile, Access]] = {}

    def forget(self) -> None:
        """Read everything anew."""
        self._kept = {}

    def of(self, profile: "Profile") -> Access:
        """The access of ``profile`` as its source has it, remembered. Raises as :meth:`read`."""
        kept = self._kept  # another thread may put a new one in its place: what is read now is of this one
        seen = kept.get(profile.key)
        if seen is None or (seen[0] is not profile and seen[0] != profile):
            if len(kept) >= 10_000:
                kept.clear()
            seen = kept[profile.key] = profile, self.read(profile)
        return seen[1]

    def read(self, profile: "Profile") -> Access:
        """The access of ``profile`` at this moment. Raises NotFound (TRANSPORT-UNKNOWN), and as the store."""
        offered = self._plugins.info(profile.transport)
        profile = profile.with_(settings=completed(offered.settings, profile.settings))
        name = offered.sign_in(profile)
        return self._read(offered, profile, name) if name else NO_TOKEN

    def _read(self, offered: "TransportInfo", profile: "Profile", name: str) -> Access:
        store, make = self._store, offered.sign_ins.get(name)
        if make is None:
            return Access(name, objection=_missing(profile, offered))
        if store is None:
            return Access(name, objection=_no_store(profile, offered), make=partial(make, profile))
        sign_in = make(profile)
        client = client_of(store, self._plugins, profile.key.company, sign_in.client)
        if client is None:
            missing = no_client(self._plugins, sign_in.client)
            return Access(name, objection=missing, make=partial(make, profile))
        if sign_in.kind in NO_PERSON:
            wanted = offered.for_profile(profile, client.settings).account(profile)
            row = _of_application(store, profile, name, sign_in, wanted)
            return Access(
                name, client, row.id, None, partial(make, profile), row.account, frozenset(sign_in.scopes)
            )
        return _of_person(offered, profile, name, client, store.grant(profile.key))


def client_of(store: "Store", plugins: "Plugins", company: str, name: str) -> Client | None:
    """The company's client of that name with its secrets; None where it has none, or no plugin knows the kind."""
    stored, info = store.client(company, name), plugins.clients.get(name)
    if stored is None or info is None:
        return None
    return Client(info, company, stored.settings, stored.secrets, stored.revision)


def _of_application(
    store: "Store", profile: "Profile", name: str, sign_in: SignIn, wanted: str
) -> "GrantRow":
    """The grant by which the application acts for one mailbox, made where there is none.

    Its tokens may be good for that mailbox only: a profile that became another's needs others.
    """
    row = store.grant(profile.key)
    if row is not None and _fits(row, profile, sign_in, name) and same_account(row.account, wanted):
        return row
    return store.ensure_grant(
        profile.key,
        transport=profile.transport,
        sign_in=name,
        client=sign_in.client,
        account=wanted,
        instead_of=row.id if row else "",
    )


def _of_person(
    offered: "TransportInfo", profile: "Profile", name: str, client: Client, row: "GrantRow | None"
) -> Access:
    """A browser and a device leave the same kind of grant: the one that was used renews it."""
    used = name
    if row is not None and row.sign_in in offered.sign_ins:
        other = offered.sign_ins[row.sign_in](profile)
        if other.kind not in NO_PERSON and other.client == client.info.name:
            used = row.sign_in
    make = partial(offered.sign_ins[used], profile)
    sign_in = make()
    if row is None or not _fits(row, profile, sign_in, used):
        return Access(name, client, "", _missing(profile, offered), make)
    wanted = offered.account(profile)
    other_account = bool(row.account) and not same_account(row.account, wanted)
    objection = problem("OAUTH-OTHER-USER", a=row.account, b=wanted) if other_account else None
    if objection is None and (lacking := make().scopes - row.scopes):
        scopes = " ".join(sorted(lacking))
        objection = problem("OAUTH-SCOPE", scopes=scopes, operator=profile.key.operator)
    return Access(used, client, row.id, objection, make, row.account, frozenset(sign_in.scopes))


def _fits(row: "GrantRow | None", profile: "Profile", sign_in: SignIn, name: str) -> bool:
    """Whether the grant is one of this transport, sign-in and client."""
    if row is None:
        return False
    return (row.transport, row.sign_in, row.client) == (profile.transport, name, sign_in.client)


def _missing(profile: "Profile", offered: "TransportInfo") -> "Problem":
    key = profile.key
    return problem("SIGN-IN-MISSING", profile=str(key), transport=offered.shown, operator=key.operator)


def _no_store(profile: "Profile", offered: "TransportInfo") -> "Problem":
    return problem("SIGN-IN-STORE", profile=str(profile.key), transport=offered.shown)


def no_client(plugins: "Plugins", name: str) -> "Problem":
    """The problem of a company that has not brought the client ``name``."""
    info = plugins.clients.get(name)
    return problem("CLIENT-MISSING", client=name, title=info.shown if info else name)
