"""Sign in by a code that is typed on another device, at a provider that keeps to the standards."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from recapito.catalogue import problem
from recapito.errors import Held, NotSent
from recapito.oauth.code import Lasting
from recapito.oauth.provider import Provider
from recapito.secret import Secret, Secrets
from recapito.signin import Attempt, Grant, SignInContext, SignInKind, Step

__all__ = ["DeviceSignIn"]

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
_WAITING = ("authorization_pending", "slow_down")
# RFC 8628 §3.2 and §3.5: where the answer has no interval, and what "slow_down" adds to it.
_INTERVAL, _SLOWER = 5.0, 5.0
_SHORTEST, _LONGEST = 1.0, 60.0
_CODE_LIMIT, _USER_CODE_LIMIT = 4096, 64
_DEFAULT_LIFE, _LONGEST_LIFE = 600, 3600


class DeviceSignIn(Lasting):
    """A :class:`~recapito.transport.SignIn` by device code (RFC 8628). It is made with what :class:`Lasting` says."""

    kind: SignInKind = "device"

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:  # noqa: ARG002 - there is no redirect
        """The address and the code that a person types there."""
        provider = self._provider(context)
        data = await provider.ask(
            provider.endpoints.device,
            {**self._parameters, "client_id": provider.client_id, "scope": self._scope},
        )
        return _offer(provider, data)

    async def finish(
        self,
        context: SignInContext,
        attempt: Attempt,
        query: Mapping[str, str],  # noqa: ARG002
    ) -> Grant | Step:
        """The grant, or the same step where the person is not done: ask again after its ``interval``."""
        kept, provider = attempt.private, self._provider(context)
        data = await provider.ask(
            provider.endpoints.token,
            {"grant_type": _GRANT_TYPE, "device_code": kept["device_code"], "client_id": provider.client_id},
            waits=(*_WAITING, "expired_token"),
        )
        if data.get("error") == "expired_token":
            raise Held(problem("SIGN-IN-STATE", step="sign-in", host=provider.endpoints.host))
        if "error" not in data:
            return provider.granted(data, self.scopes, self._idle)
        slower = _SLOWER if data["error"] == "slow_down" else 0.0
        interval = min(_LONGEST, float(kept["interval"].reveal()) + slower)
        return Step(
            url=kept["url"].reveal(),
            user_code=kept["user_code"].reveal(),
            interval=interval,
            expires_at=datetime.fromisoformat(kept["expires_at"].reveal()),
            private=Secrets({**kept, "interval": str(interval)}),
        )


def _offer(provider: Provider, data: Mapping[str, Any]) -> Step:
    device_code, user_code, url = (
        data.get(name) for name in ("device_code", "user_code", "verification_uri")
    )
    if not (_fits(device_code, _CODE_LIMIT) and _fits(user_code, _USER_CODE_LIMIT) and _is_page(url)):
        raise NotSent(problem("OAUTH-ANSWER", step="sign-in", host=provider.endpoints.host))
    whole = data.get("verification_uri_complete")
    shown = str(whole if _is_page(whole) else url)
    interval = max(_SHORTEST, min(_LONGEST, _number(data.get("interval"), _INTERVAL)))
    life = min(_LONGEST_LIFE, _number(data.get("expires_in"), _DEFAULT_LIFE))
    expires_at = datetime.now(UTC) + timedelta(seconds=life)
    return Step(
        url=shown,
        user_code=str(user_code),
        interval=interval,
        expires_at=expires_at,
        private=Secrets(
            {
                "device_code": Secret(str(device_code)),
                "user_code": str(user_code),
                "url": shown,
                "interval": str(interval),
                "expires_at": expires_at.isoformat(),
            }
        ),
    )


def _fits(value: object, limit: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= limit and value.isascii() and value.isprintable()


def _is_page(value: object) -> bool:
    """Whether a person may be sent there: a page over https, never a script."""
    return isinstance(value, str) and _fits(value, 2000) and urlsplit(value).scheme == "https"


def _number(value: object, default: float) -> float:
    """A positive number that the provider gave, or ``default``."""
    given = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
    return float(value) if given and isinstance(value, (int, float)) else default
