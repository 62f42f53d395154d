"""What both stand-ins have of OAuth: people who consent, codes, grants and the tokens that were issued."""

import base64
import hashlib
import http.client
import json
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from recapito.testing.https_asked import Asked, Said, json_said
from recapito.testing.https_server import HttpsServer

__all__ = ["Access", "Code", "OAuthVendor", "Person", "StoredGrant"]

#: Seconds for which a code may be redeemed, and a token lasts.
CODE_LIVES = 600
TOKEN_LIVES = 3599


@dataclass(slots=True)
class Person:
    """Who sits at the browser, and what they do: untick scopes, refuse, or run into the vendor's own error."""

    account: str
    untick: Collection[str] = ()
    deny: bool = False
    error: str = ""
    description: str = ""


@dataclass(slots=True)
class Code:
    """A code that was given to a redirect."""

    account: str
    scopes: tuple[str, ...]
    redirect_uri: str
    challenge: str
    nonce: str
    offline: bool
    expires: float


@dataclass(slots=True)
class StoredGrant:
    """What a person gave; ``dead`` says why it is worth nothing any more."""

    account: str
    scopes: tuple[str, ...]
    refresh_token: str = field(repr=False)
    dead: str = ""


@dataclass(slots=True)
class Access:
    """An access token that was issued."""

    account: str
    scopes: tuple[str, ...]
    expires: float
    audience: str = ""


class OAuthVendor(HttpsServer):
    """The half of a stand-in that signs people in.

    ``person`` is who sits at the browser. Every token request is counted in ``refreshes`` and ``token_requests``.
    ``rotates``: each refresh gives a new refresh token, and the old one is worth nothing.
    """

    client_id = "client-of-the-company"
    client_secret = "s3cret-of-the-company's-app"

    def __init__(self, person: Person, *, redirect_uris: Collection[str] = (), **server: object) -> None:
        super().__init__(**server)  # type: ignore[arg-type]
        self.person = person
        self.redirect_uris = set(redirect_uris)
        self.rotates = False
        #: Whether the app is believed without proof.
        self.public = False
        #: Seconds that access tokens last.
        self.token_lives = TOKEN_LIVES
        self.refreshes = 0
        self.codes: dict[str, Code] = {}
        self.grants: dict[str, StoredGrant] = {}
        self.tokens: dict[str, Access] = {}

    @property
    def token_requests(self) -> int:
        """How often the token endpoint was asked."""
        return sum(asked.path.endswith("/token") for asked in self.requests)

    def consents(
        self,
        account: str,
        *,
        untick: Collection[str] = (),
        deny: bool = False,
        error: str = "",
        description: str = "",
    ) -> None:
        """Somebody else sits down at the browser, or does something else there."""
        self.person = Person(account, untick, deny, error, description)

    def visit(self, url: str) -> dict[str, str]:
        """Play the browser: open ``url``; the query that the redirect brings back, AssertionError where none does."""
        place = urlsplit(url)
        line = http.client.HTTPSConnection(
            place.hostname or "", place.port, context=self.authority.client_context(), timeout=10
        )
        try:
            line.request("GET", f"{place.path}?{place.query}")
            answer = line.getresponse()
            said = answer.read().decode("utf-8", "replace")
        finally:
            line.close()
        location = answer.getheader("Location")
        assert answer.status in (302, 303), f"{answer.status}: {said}"
        assert location is not None
        return dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))

    def expire_tokens(self) -> None:
        """No access token that was issued is worth anything from now on; grants are."""
        self.tokens.clear()

    def revoke(self, account: str, why: str = "revoked") -> None:
        """End every grant of ``account``, and its tokens."""
        for grant in self.grants.values():
            if grant.account == account:
                grant.dead = why
        self.tokens = {value: access for value, access in self.tokens.items() if access.account != account}

    def access(self, value: str) -> Access | None:
        """What a token allows; None where it was not issued here, or is over."""
        found = self.tokens.get(value)
        return found if found is not None and found.expires > time.time() else None

    def give(self, account: str, scopes: Collection[str]) -> str:
        """A grant without any browser, for tests of what comes later; its refresh token."""
        value = f"1//{secrets.token_urlsafe(48)}"
        self.grants[value] = StoredGrant(account, tuple(scopes), value)
        return value

    def issue(self, account: str, scopes: Collection[str], audience: str = "") -> str:
        """An access token, as the token endpoint gives it."""
        value = self.new_token()
        self.tokens[value] = Access(account, tuple(scopes), time.time() + self.token_lives, audience)
        return value

    def new_token(self) -> str:
        """The text of an access token."""
        return f"ya29.{secrets.token_urlsafe(160)}"

    def add_code(self, asked: Mapping[str, str], scopes: tuple[str, ...], *, offline: bool) -> str:
        """A code for what was asked, of 256 characters at most."""
        value = f"4/0A{secrets.token_urlsafe(96)}"
        self.codes[value] = Code(
            self.person.account,
            scopes,
            asked["redirect_uri"],
            asked["code_challenge"],
            asked.get("nonce", ""),
            offline,
            time.time() + CODE_LIVES,
        )
        return value

    def redeem(self, form: Mapping[str, str]) -> Code | None:
        """The code of a token request, once; None where it, its redirect URI or its verifier do not fit."""
        code = self.codes.pop(form.get("code", ""), None)
        if code is None or code.expires < time.time() or code.redirect_uri != form.get("redirect_uri"):
            return None
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        fits = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == code.challenge
        return code if fits else None

    def rotated(self, grant: StoredGrant) -> str:
        """A new refresh token in the place of the old one."""
        grant.dead = "rotated"
        return self.give(grant.account, grant.scopes)

    def redirect(self, uri: str, **fields: str) -> Said:
        """Send the browser back."""
        joint = "&" if urlsplit(uri).query else "?"
        return Said(302, headers={"Location": f"{uri}{joint}{urlencode(fields)}"})

    def bearer(self, asked: Asked) -> Access | None:
        """What the request's token allows."""
        return self.access(asked.bearer)

    def id_token(self, **claims: object) -> str:
        """An id token. Its signature is none: nobody has to look at it (OpenID Connect Core §3.1.3.7)."""
        now = int(time.time())
        whole = {"iat": now, "exp": now + self.token_lives, **claims}
        head = {"alg": "RS256", "kid": "test", "typ": "JWT"}
        return ".".join(_part(each) for each in (head, whole)) + ".c2lnbmF0dXJl"


def _part(data: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def page(status: int, text: str) -> Said:
    """A page that a person sees, and no redirect."""
    return Said(status, f"<html><body>{text}</body></html>".encode(), {"Content-Type": "text/html"})


def oauth_error(status: int, error: str, description: str = "", **more: object) -> Said:
    """An error of a token endpoint (RFC 6749 §5.2)."""
    return json_said(status, {"error": error, "error_description": description, **more})
