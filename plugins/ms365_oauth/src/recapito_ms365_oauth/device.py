"""Sign in with Microsoft on another device: a person types a code there."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from recapito.secret import Secret, Secrets
from recapito.transport import Attempt, Grant, SignInContext, SignInKind, Step
from recapito_ms365_oauth.delegated import Delegated
from recapito_ms365_oauth.entra import ask, tenant_metadata, unusable
from recapito_ms365_oauth.microsoft import Microsoft

if TYPE_CHECKING:
    import msal

__all__ = ["DeviceSignIn"]

_WAITS = ("authorization_pending", "slow_down")
# Seconds between two questions: RFC 8628 §3.2 where the answer has none.
_INTERVAL, _SHORTEST, _LONGEST = 5, 1, 120


class DeviceSignIn(Delegated):
    """A :class:`~recapito.transport.SignIn` by device code (RFC 8628), which is for public clients only.

    The registration must allow "public client flows"; its secret is not used.
    """

    kind: SignInKind = "device"

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:  # noqa: ARG002 - there is no redirect
        """The address to open on any device, and the code to type there."""
        microsoft = Microsoft.of(context.client.settings)
        metadata = await tenant_metadata(context, microsoft)

        def act(app: "msal.PublicClientApplication") -> Mapping[str, Any]:
            found = app.initiate_device_flow(self.asked(microsoft))
            return {"flow": json.dumps(found), "interval": found["interval"]}

        given = await ask(context, microsoft, act, public=True)
        return _step(microsoft, given.secret("flow"), given.get("interval"), str(metadata["issuer"]))

    async def finish(
        self,
        context: SignInContext,
        attempt: Attempt,
        query: Mapping[str, str],  # noqa: ARG002
    ) -> Grant | Step:
        """Ask once whether the person is done; a Step while they are not."""
        microsoft = Microsoft.of(context.client.settings)
        issuer, kept = attempt.private["issuer"].reveal(), attempt.private["flow"]

        def act(app: "msal.PublicClientApplication") -> Mapping[str, Any]:
            flow = json.loads(kept.reveal())
            # It would warn that it is early; when to ask is core's to know.
            flow.pop("latest_attempt_at", None)
            found = app.acquire_token_by_device_flow(flow, exit_condition=lambda _flow: True)
            return {**found, "interval": flow["interval"]}

        hidden = (Secret(str(json.loads(kept.reveal()).get("device_code"))),)
        given = await ask(context, microsoft, act, public=True, waits=_WAITS, hidden=hidden)
        if given.get("error") is not None:
            return _step(microsoft, kept, given.get("interval"), issuer)
        return self.left(microsoft, given, public=True, hint=attempt.hint, issuer=issuer)


def _step(microsoft: Microsoft, flow: Secret | None, interval: object, issuer: str) -> Step:
    """What is shown of ``flow``, as msal began it; the whole of it is kept, with the code that only we know."""
    shown = _shown(flow) if flow else None
    if flow is None or shown is None:
        raise unusable(microsoft)
    url, code, ends = shown
    # With 0 seconds msal would ask without end (oauth2.py, obtain_token_by_device_flow).
    asked = int(interval) if isinstance(interval, int) and interval > 0 else _INTERVAL
    seconds = min(max(asked, _SHORTEST), _LONGEST)
    return Step(
        url=url,
        user_code=code,
        interval=float(seconds),
        expires_at=datetime.fromtimestamp(ends, UTC),
        private=Secrets({"flow": _paced(flow, seconds), "issuer": issuer}),
    )


def _shown(flow: Secret) -> tuple[str, str, float] | None:
    """Address, code and end of an offer; None where nobody could take it up."""
    found = json.loads(flow.reveal())
    url, code, ends = (found.get(name) for name in ("verification_uri", "user_code", "expires_at"))
    page = isinstance(url, str) and url.startswith("https://") and url.isprintable()
    typed = isinstance(code, str) and 0 < len(code) <= 64 and code.isprintable()
    if not (page and typed and isinstance(found.get("device_code"), str) and isinstance(ends, (int, float))):
        return None
    return str(url), str(code), float(ends)


def _paced(flow: Secret, seconds: int) -> Secret:
    return Secret(json.dumps({**json.loads(flow.reveal()), "interval": seconds}))
