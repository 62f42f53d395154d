"""Whoever issues tokens: asks the endpoints of a client, and says what is behind their answers."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from recapito.catalogue import problem
from recapito.errors import DeliveryError, Held, NotSent
from recapito.oauth import Answer, Http, HttpFailure, checked_token, explained, id_token_claims
from recapito.problem import Problem
from recapito.reply import ServerReply
from recapito.secret import Secret
from recapito.transport import SignInContext, Token
from recapito_gmail_oauth.google import Google

__all__ = ["Authority", "Told", "error_of"]

_OK = 200


class Told(dict[str, Any]):
    """Fields that were told, tokens and codes among them: a traceback that shows locals shows none of them."""

    def __repr__(self) -> str:
        return f"Told({', '.join(self)})"


class Authority:
    """The token endpoint and its neighbours, for one act of one sign-in.

    ``client`` is the registration's name; ``patience`` the seconds for one request, whatever it drips.
    """

    def __init__(self, context: SignInContext, client: str, patience: float) -> None:
        self.context = context
        self.client = client
        self._patience = patience
        self.google = Google.of(context.client.settings)
        # What was told to an endpoint: should it repeat one, it is masked.
        self._hidden: list[Secret] = []

    def hide(self, *secrets: Secret) -> None:
        """Show none of these in what an endpoint says."""
        self._hidden += secrets

    async def post(self, url: str, fields: Mapping[str, str | Secret]) -> Answer:
        """The answer to a form, whatever it says; NotSent and Held where there is none."""
        self.hide(*(value for value in fields.values() if isinstance(value, Secret)))
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._request("POST", url, headers, _form(fields))

    async def get(self, url: str, token: Secret) -> Answer:
        """The answer to a question under an access token."""
        self.hide(token)
        return await self._request("GET", url, {"Authorization": Secret(f"Bearer {token.reveal()}")}, b"")

    def judged(self, answer: Answer | HttpFailure | None, **params: str) -> Told:
        """The JSON of an answer that is one; otherwise raises what is behind it, with ``params`` for its texts."""
        if isinstance(answer, Answer) and answer.status == _OK and (data := answer.json()) is not None:
            return Told(data)
        error = self.error(answer)
        raise type(error)(error.problem.with_(params={**params, **error.problem.params}))

    def token(self, data: Mapping[str, Any]) -> Token:
        """The access token of an answer, where it is one that may be sent."""
        try:
            return checked_token(data.get("access_token"), data.get("expires_in"))
        except DeliveryError as exc:
            raise self._apart(exc) from None

    def claims(self, data: Told, nonce: Secret | None) -> Told:
        """Who signed in, by the id token of an answer that has one."""
        issuer = self.google.issuer
        try:
            try:
                return self._claims(data, nonce, issuer)
            except Held:
                # Google's id tokens name it with or without the scheme (its OpenID Connect page, "iss").
                return self._claims(data, nonce, issuer.removeprefix("https://"))
        except DeliveryError as exc:
            raise self._apart(exc) from None

    def error(self, answer: Answer | HttpFailure | None, url: str = "") -> DeliveryError:
        """What is behind an answer that gives nothing, from ``url`` (default: the token endpoint)."""
        if answer is None:
            return NotSent(self.problem("OAUTH-ANSWER"))
        host = _host(url) or self.google.token_host
        return explained(self.context, answer, host, self.client, hidden=self._hidden)

    def refused(self, error: str, answer: Answer | None = None) -> Problem:
        """The problem by a key of the catalogue's rules, with the words of an answer where there is one."""
        said = self.error(answer).problem.reply if answer else None
        reply = ServerReply(
            "oauth",
            answer.status if answer else 0,
            said or "",
            error=error,
            host=self.google.token_host,
            step="sign-in",
            credential="token",
        )
        return self._ours(self.context.explain(reply))

    def problem(self, code: str, answer: Answer | None = None, **params: Any) -> Problem:
        """One of the codes, with this client's name, and the words of an answer where there is one."""
        said = self.error(answer).problem.reply if answer else None
        return self._ours(problem(code, step="sign-in", host=self.google.token_host, reply=said, **params))

    def _claims(self, data: Told, nonce: Secret | None, issuer: str) -> Told:
        return Told(
            id_token_claims(
                data["id_token"],
                issuer=issuer,
                audience=self.context.client.settings["client_id"],
                nonce=nonce.reveal() if nonce else "",
            )
        )

    def _apart(self, error: DeliveryError) -> DeliveryError:
        """The same without its frames: they hold what was looked at."""
        return type(error)(self._ours(error.problem))

    def _ours(self, found: Problem) -> Problem:
        return found.with_(params={"client": self.client, **found.params})

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str | Secret], content: bytes | Secret
    ) -> Answer:
        try:
            async with Http(self.context.tls(self.google.ca), proxy=self.google.proxy) as http:
                return await http.request(
                    method, url, headers=headers, content=content, deadline_in=self._patience
                )
        except HttpFailure as exc:
            raise self.error(exc, url) from exc


def error_of(answer: object) -> str:
    """OAuth's ``error`` in an answer; empty where it has none."""
    data = answer.json() if isinstance(answer, Answer) else None
    return str(data.get("error") or "") if data else ""


def _form(fields: Mapping[str, str | Secret]) -> Secret:
    return Secret(
        urlencode(
            {name: value.reveal() if isinstance(value, Secret) else value for name, value in fields.items()}
        )
    )


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
