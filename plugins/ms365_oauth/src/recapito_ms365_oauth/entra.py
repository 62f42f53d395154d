"""msal behind one adapter: it builds and signs the requests, recapito sends and judges them.

msal knows how Entra wants to be asked. It is used for one request at a time and keeps nothing: its store of tokens
would log codes and verifiers, its cache of answers would repeat a refusal for a minute after the secret was put
right, and its constructor asks for metadata that the registration's own settings say. What is no plain answer never
reaches it: it would raise one of four things, and log what it could not read, an access token among it.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlencode

from recapito.catalogue import problem
from recapito.errors import DeliveryError, Held, NotSent
from recapito.oauth import Answer, BlockingHttp, Http, HttpFailure, explained
from recapito.secret import Secret
from recapito_ms365_oauth.credential import credential_of

if TYPE_CHECKING:
    import msal

    from recapito.signin import Client
    from recapito.transport import SignInContext
    from recapito_ms365_oauth.microsoft import Microsoft

__all__ = ["Act", "Given", "ask", "refused", "tenant_metadata", "unusable", "with_link"]

#: What is done with an app of msal's; it returns what msal returned.
Act: TypeAlias = "Callable[[msal.ClientApplication], Mapping[str, Any]]"

#: Seconds for one request (:meth:`recapito.transport.SignIn.refresh` allows 25 for all).
PATIENCE = 22.0
_OK, _BAD_REQUEST = 200, 400
_DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
#: What msal makes of answers that it cannot read, and of keys that it cannot use.
_CONFUSED = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, AssertionError)


class Given:
    """What msal returned: tokens among it, so that it shows nothing of itself."""

    __slots__ = ("get",)

    def __init__(self, found: Mapping[str, Any]) -> None:
        # Only the method is kept: no list of attributes shows the tokens.
        self.get: Callable[[str], Any] = found.get

    def secret(self, name: str) -> Secret | None:
        """A text that is one; None where there is none."""
        return Secret(self.get(name)) if isinstance(self.get(name), str) and self.get(name) else None

    def __repr__(self) -> str:
        return "Given()"


class _Stopped(Exception):
    """Leaves msal with an answer that is judged elsewhere."""


@dataclass(frozen=True, slots=True)
class _Response:
    """What msal reads of an answer."""

    status_code: int
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def raise_for_status(self) -> None:
        """Nothing: msal is given no answer that it would have to raise."""


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """msal could make nothing of the last answer, or of the app's own credential where there is no answer."""

    answer: Answer | None


class _Requests:
    """What msal takes as ``http_client``. It answers for the tenant's metadata by itself, and keeps the last answer."""

    def __init__(self, http: BlockingHttp, microsoft: "Microsoft") -> None:
        self._http = http
        self._microsoft = microsoft
        self.answer: Answer | None = None

    def get(self, url: str, **_kwargs: object) -> _Response:
        """The tenant's endpoints, which have the same place in every tenant and cloud."""
        if url != self._microsoft.discovery_uri:
            raise _Stopped
        names = {"authorization": "authorize", "token": "token", "device_authorization": "devicecode"}
        found = {f"{name}_endpoint": self._microsoft.endpoint(path) for name, path in names.items()}
        return _Response(_OK, json.dumps({"issuer": self._microsoft.authority, **found}))

    def post(
        self,
        url: str,
        params: Mapping[str, str] | None = None,  # noqa: ARG002 - msal sends none
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **_kwargs: object,
    ) -> _Response:
        """The answer, where msal can read it; whatever else there is leaves msal at once."""
        shown = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        # requests, which msal expects here, leaves out what is None.
        fields = {name: value for name, value in (data or {}).items() if value is not None}
        self.answer = answer = self._http.request("POST", url, headers=shown, body=Secret(urlencode(fields)))
        waiting = answer.status == _BAD_REQUEST and fields.get("grant_type") == _DEVICE_CODE
        if answer.json() is None or not (answer.status == _OK or waiting):
            raise _Stopped
        return _Response(answer.status, answer.body.decode("utf-8", "replace"))

    def close(self) -> None:
        """Nothing: what it was given is closed by who made it."""


async def ask(
    context: "SignInContext",
    microsoft: "Microsoft",
    act: Act,
    *,
    public: bool,
    waits: Collection[str] = (),
    hidden: Collection[Secret] = (),
    patience: float = PATIENCE,
    **params: str,
) -> Given:
    """What msal returned, without an ``error`` that is not one of ``waits``; raises the problem behind anything else.

    ``public``: the app does not prove itself. ``hidden`` must not show in the words that are kept, ``patience`` is
    in seconds, ``params`` are for the problem's texts.
    """
    async with Http(context.tls(microsoft.ca), proxy=microsoft.proxy) as http:
        requests = _Requests(BlockingHttp(http, patience), microsoft)
        found = await context.in_thread(_run, requests, microsoft, context.client, act, public=public)
    if isinstance(found, Given) and (found.get("error") is None or found.get("error") in waits):
        return found
    if isinstance(found, DeliveryError):
        raise found
    answer = requests.answer if isinstance(found, Given) else found
    raise refused(context, microsoft, answer, hidden=hidden, **params)


def refused(
    context: "SignInContext",
    microsoft: "Microsoft",
    found: "Answer | HttpFailure | _Unreadable | None",
    *,
    hidden: Collection[Secret] = (),
    **params: str,
) -> DeliveryError:
    """The error behind an answer that gives nothing."""
    client = context.client.info.name
    if isinstance(found, _Unreadable):
        if found.answer is None:
            return Held(problem("OAUTH-APP-SECRET", step="sign-in", host=microsoft.login_host, client=client))
        return unusable(microsoft)
    if found is None or (
        isinstance(found, Answer) and found.status == _OK and not (found.json() or {}).get("error")
    ):
        return unusable(microsoft)
    error = explained(context, found, microsoft.login_host, client, hidden=hidden)
    error = type(error)(error.problem.with_(params={**params, **error.problem.params}))
    return with_link(microsoft, error)


def with_link(microsoft: "Microsoft", error: DeliveryError) -> DeliveryError:
    """``error``, with the address at which an administrator approves the app where that is what is missing."""
    if error.problem.code != "OAUTH-CONSENT":
        return error
    return type(error)(error.problem.with_(params={**error.problem.params, "uri": microsoft.consent_uri}))


async def tenant_metadata(context: "SignInContext", microsoft: "Microsoft") -> Mapping[str, Any]:
    """What the tenant says of itself (OpenID Connect Discovery §4); the error that explains a wrong one."""
    found: Answer | HttpFailure
    try:
        async with Http(context.tls(microsoft.ca), proxy=microsoft.proxy) as http:
            found = await http.request("GET", microsoft.discovery_uri, deadline_in=PATIENCE)
    except HttpFailure as exc:
        found = exc.with_traceback(None)
    said = found.json() if isinstance(found, Answer) and found.status == _OK else None
    if said is None or not isinstance(said.get("issuer"), str):
        raise refused(context, microsoft, found)
    return said


def unusable(microsoft: "Microsoft") -> NotSent:
    """The error behind an answer that says nothing."""
    return NotSent(problem("OAUTH-ANSWER", step="sign-in", host=microsoft.login_host))


def _run(
    requests: _Requests, microsoft: "Microsoft", client: "Client", act: Act, *, public: bool
) -> "Given | Answer | HttpFailure | DeliveryError | _Unreadable | None":
    """Returned, not raised: msal's frames hold the secrets that it was given."""
    try:
        return Given(act(_application(requests, microsoft, client, public=public)))
    except _Stopped:
        return requests.answer
    except (HttpFailure, DeliveryError) as exc:
        return exc.with_traceback(None)
    except _CONFUSED:
        return _Unreadable(requests.answer)


def _application(
    requests: _Requests, microsoft: "Microsoft", client: "Client", *, public: bool
) -> "msal.ClientApplication":
    import msal

    class Forgetful(msal.TokenCache):  # type: ignore[misc]
        """Keeps no token: the vault does. msal's own would also log what came in, codes and verifiers unmasked."""

        def add(self, event: Mapping[str, Any], now: float | None = None) -> None:
            """Nothing."""

    given: dict[str, Any] = {
        "authority": microsoft.authority,
        "http_client": requests,
        # A fresh one, for this one request: msal keeps refusals in it.
        "http_cache": {},
        "token_cache": Forgetful(),
        # No look-up at login.microsoftonline.com, and whatever MSAL_FORCE_REGION says, no other host.
        "instance_discovery": False,
        "azure_region": False,
    }
    credential = None if public else credential_of(client)
    if credential is None:
        return msal.PublicClientApplication(microsoft.client_id, **given)
    return msal.ConfidentialClientApplication(microsoft.client_id, client_credential=credential, **given)
