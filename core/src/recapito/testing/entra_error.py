"""Errors as Entra writes them."""

from datetime import UTC, datetime

from recapito.testing.https_asked import Said, json_said

__all__ = ["entra_error"]

_TRACE = "0e3f0b5a-0000-4000-8000-2b6d1f6d0000"
_CORRELATION = "9a0f8c1e-0000-4000-8000-5c1f3a7b0000"


def entra_error(status: int, error: str, number: int, said: str, *, suberror: str = "") -> Said:
    """An error of a token endpoint, with the number that its text begins with (learn: AADSTS error codes)."""
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
    text = f"AADSTS{number}: {said} Trace ID: {_TRACE} Correlation ID: {_CORRELATION} Timestamp: {now}"
    data: dict[str, object] = {
        "error": error,
        "error_description": text,
        "error_codes": [number],
        "timestamp": now,
        "trace_id": _TRACE,
        "correlation_id": _CORRELATION,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return json_said(status, data | ({"suberror": suberror} if suberror else {}))
