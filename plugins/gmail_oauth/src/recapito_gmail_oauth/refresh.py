"""google-auth behind one small adapter: it builds and signs the requests, recapito sends and judges them.

google-auth knows how Google wants to be asked. Its transports are not used: they follow redirects with secrets,
wait for minutes, read without end, and hide behind a sentence what was answered. Nor are its repetitions: it
would ask three times, sleeping, whatever a 429 says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from recapito.oauth import Answer, BlockingHttp, Http, HttpFailure
from recapito.secret import Secret
from recapito_gmail_oauth.google import IAM_ROOT, TOKEN_URI, Google

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from recapito.transport import SignInContext

__all__ = ["PATIENCE", "Requests", "Said", "refreshed"]

#: Seconds for all requests of one act (:meth:`recapito.transport.SignIn.refresh` allows 25).
PATIENCE = 20.0
# Where Google's machines have their metadata server; on this very machine, an emulator of it (GKE has one).
_METADATA = ("metadata.google.internal", "169.254.169.254", "127.0.0.1", "localhost")
_METADATA_PATIENCE = 3.0
_METADATA_LIMIT = 100_000
_OK = 200

Make = Callable[["Requests"], "Credentials"]


@dataclass(frozen=True, slots=True)
class Said:
    """The last answer of a refresh and where it came from; None: google-auth found nobody to ask.

    ``told`` are the signed assertions that were sent.
    """

    answer: Answer | HttpFailure | None
    url: str
    told: tuple[Secret, ...] = ()


class _Stopped(Exception):
    """Leaves google-auth with an answer that is judged elsewhere."""


@dataclass(frozen=True, slots=True)
class _Response:
    """What google-auth reads of an answer."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)


class Requests:
    """What google-auth calls to make a request (``google.auth.transport.Request``).

    ``places`` are beginnings of addresses and what stands there instead.
    """

    def __init__(self, http: BlockingHttp, places: Mapping[str, str]) -> None:
        self._http = http
        self._places = places
        #: The last answer, and where it was asked for.
        self.answer: Answer | None = None
        self.url = ""
        self.told: tuple[Secret, ...] = ()

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 - one deadline holds for the whole refresh
        **_kwargs: object,
    ) -> _Response:
        """The answer; whatever is not 200, and a token that is no JSON, leaves google-auth at once."""
        self.url = self._placed(url)
        if self.url.startswith("http://"):
            return _metadata(self.url, method, headers or {})
        self.told += _assertions(body)
        self.answer = answer = self._http.request(
            method, self.url, headers=dict(headers or {}), body=body or b""
        )
        if answer.status != _OK or (method == "POST" and answer.json() is None):
            raise _Stopped
        return _Response(answer.status, answer.headers, answer.body)

    def _placed(self, url: str) -> str:
        for before, after in self._places.items():
            if url.startswith(before):
                return after + url[len(before) :]
        return url


async def refreshed(context: "SignInContext", google: Google, make: Make, patience: float = PATIENCE) -> Said:
    """What came of refreshing the credentials that ``make`` gives, within ``patience`` seconds.

    ``make`` runs in a thread: it may read files, and import google-auth.
    """
    async with Http(context.tls(google.ca), proxy=google.proxy) as http:
        places = {TOKEN_URI: google.token_uri, IAM_ROOT: google.iam_root}
        requests = Requests(BlockingHttp(http, patience), places)
        answer = await context.in_thread(_refreshed, requests, make)
    return Said(answer, requests.url, requests.told)


def _refreshed(requests: Requests, make: Make) -> Answer | HttpFailure | None:
    """Returned, not raised: the frames of google-auth hold the secrets that it was given."""
    from google.auth.exceptions import GoogleAuthError

    try:
        make(requests).refresh(requests)  # type: ignore[no-untyped-call]
    except HttpFailure as exc:
        return exc.with_traceback(None)
    except _Stopped:
        pass
    except (GoogleAuthError, ValueError, TypeError, KeyError):
        if requests.answer is not None and requests.answer.status == _OK:
            # It may be the token of another identity, got on the way to the one that was asked for.
            return HttpFailure("answer", via="http")
    return requests.answer


def _assertions(body: bytes | None) -> tuple[Secret, ...]:
    fields = parse_qsl((body or b"").decode("utf-8", "replace")) if b"assertion=" in (body or b"") else []
    return tuple(Secret(value) for name, value in fields if name == "assertion")


def _metadata(url: str, method: str, headers: Mapping[str, str]) -> _Response:
    """The metadata server of Google's own machines: plain HTTP by design, and nobody else gets that."""
    from http.client import HTTPConnection, HTTPException

    from google.auth.exceptions import TransportError

    place = urlsplit(url)
    if place.hostname not in _METADATA:
        raise TransportError("only the metadata server is spoken to without encryption")  # type: ignore[no-untyped-call]
    line = HTTPConnection(place.hostname, place.port or 80, timeout=_METADATA_PATIENCE)
    try:
        line.request(method, f"{place.path}?{place.query}".rstrip("?"), headers=dict(headers))
        answer = line.getresponse()
        said = {name.lower(): value for name, value in answer.getheaders()}
        return _Response(answer.status, said, answer.read(_METADATA_LIMIT))
    except (OSError, HTTPException) as exc:
        raise TransportError(type(exc).__name__) from exc  # type: ignore[no-untyped-call]
    finally:
        line.close()
