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
_LONGEST = 120


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
            found: Mapping[str, Any] = app.initiate_device_flow(self.asked(microsoft))
            return found

        flow = dict(await ask(context, microsoft, act, public=True))
        return _step(microsoft, flow, str(metadata["issuer"]))

    async def finish(
        self,
        context: SignInContext,
        attempt: Attempt,
        query: Mapping[str, str],  # noqa: ARG002
    ) -> Grant | Step:
        """Ask once whether the person is done; a Step while they are not."""
        microsoft = Microsoft.of(context.client.settings)
        issuer = attempt.private["issuer"].reveal()
        flow: dict[str, Any] = json.loads(attempt.private["flow"].reveal())
        # It would warn that it is early; when to ask is core's to know.
        flow.pop("latest_attempt_at", None)

        def act(app: "msal.PublicClientApplication") -> Mapping[str, Any]:
            found: Mapping[str, Any] = app.acquire_token_by_device_flow(
                flow, exit_condition=lambda _flow: True
            )
            return found

        hidden = (Secret(str(flow.get("device_code") or "")),)
        data = await ask(context, microsoft, act, public=True, waits=_WAITS, hidden=hidden)
        if "error" in data:
            return _step(microsoft, flow, issuer)
        return self.left(microsoft, data, public=True, hint=attempt.hint, issuer=issuer)


def _step(microsoft: Microsoft, flow: dict[str, Any], issuer: str) -> Step:
    """What is shown of ``flow``, as msal began it; the whole of it is kept, with the code that only we know."""
    url, code, ends = flow.get("verification_uri"), flow.get("user_code"), flow.get("expires_at")
    shown = (
        isinstance(url, str) and url.startswith("https://") and isinstance(code, str) and code.isprintable()
    )
    if not (shown and isinstance(flow.get("device_code"), str) and isinstance(ends, (int, float))):
        raise unusable(microsoft)
    # With 0 seconds msal would ask without end (oauth2.py, obtain_token_by_device_flow).
    flow["interval"] = min(max(int(flow.get("interval") or 5), 1), _LONGEST)
    return Step(
        url=str(url),
        user_code=str(code),
        interval=float(flow["interval"]),
        expires_at=datetime.fromtimestamp(float(ends), UTC),
        private=Secrets({"flow": Secret(json.dumps(flow)), "issuer": issuer}),
    )
