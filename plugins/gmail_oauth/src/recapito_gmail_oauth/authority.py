"""Whoever issues tokens: asks the endpoints of a client, and says what is behind their answers."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from recapito.catalogue import problem
from recapito.errors import DeliveryError, NotSent
from recapito.oauth import Answer, Http, HttpFailure, explained
from recapito.problem import Problem
from recapito.reply import ServerReply
from recapito.secret import Secret
from recapito.transport import SignInContext
from recapito_gmail_oauth.google import Google

__all__ = ["Authority", "error_of"]

_OK = 200


class Authority:
    """The token endpoint and its neighbours, for one act of one sign-in.

    ``client`` is the registration's name; ``patience`` the seconds for one request, whatever it drips.
    """

    def __init__(self, context: SignInContext, client: str, patience: float) -> None:
        self.context = context
        self.client = client
        self._patience = patience
        self.google = Google.of(context.client.settings)

    async def post(self, url: str, fields: Mapping[str, str | Secret]) -> Answer:
        """The answer to a form, whatever it says; NotSent and Held where there is none."""
        return await self._request("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, fields)

    async def get(self, url: str, token: Secret) -> Answer:
        """The answer to a question under an access token."""
        return await self._request("GET", url, {"Authorization": token}, {})

    def judged(self, answer: Answer | HttpFailure | None, **params: str) -> Mapping[str, Any]:
        """The JSON of an answer that is one; otherwise raises what is behind it, with ``params`` for its texts."""
        if answer is None:
            raise NotSent(self.problem("OAUTH-ANSWER"))
        if isinstance(answer, Answer) and answer.status == _OK and (data := answer.json()) is not None:
            return data
        error = explained(self.context, answer, self.google.token_host, self.client)
        raise _with(error, {**params, **error.problem.params})

    def refused(self, error: str, answer: Answer | None = None) -> Problem:
        """The problem by a key of recapito's own, with the words of an answer where there is one."""
        said = (answer.json() or {}).get("error_description") if answer else ""
        reply = ServerReply(
            "oauth",
            answer.status if answer else 0,
            str(said or ""),
            error=error,
            host=self.google.token_host,
            step="sign-in",
            credential="token",
        )
        return self._ours(self.context.explain(reply))

    def problem(self, code: str, **params: Any) -> Problem:
        """One of the codes, with this client's name."""
        return self._ours(problem(code, step="sign-in", host=self.google.token_host, **params))

    def _ours(self, found: Problem) -> Problem:
        return found.with_(params={"client": self.client, **found.params})

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str | Secret], fields: Mapping[str, str | Secret]
    ) -> Answer:
        host = urlsplit(url).hostname or ""
        try:
            async with Http(self.context.tls(self.google.ca), proxy=self.google.proxy) as http:
                return await http.request(
                    method,
                    url,
                    headers={
                        name: f"Bearer {value.reveal()}" if isinstance(value, Secret) else value
                        for name, value in headers.items()
                    },
                    content=_form(fields),
                    deadline_in=self._patience,
                )
        except HttpFailure as exc:
            raise explained(self.context, exc, host, self.client) from exc.with_traceback(None)


def error_of(answer: object) -> str:
    """OAuth's ``error`` in an answer; empty where it has none."""
    data = answer.json() if isinstance(answer, Answer) else None
    return str(data.get("error") or "") if isinstance(data, dict) else ""


def _form(fields: Mapping[str, str | Secret]) -> bytes:
    return urlencode(
        {name: value.reveal() if isinstance(value, Secret) else value for name, value in fields.items()}
    ).encode("ascii")


def _with(error: DeliveryError, params: Mapping[str, Any]) -> DeliveryError:
    return type(error)(error.problem.with_(params=params))
