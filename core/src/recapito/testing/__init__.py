"""The kit: servers, a transport in memory, and the checks that every transport must pass.

For authors of transports, and for hosts that test how their application sends. Nothing here is needed to
send. Names load when they are first used; pytest is needed for none of them.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recapito.testing.authority import CertificateAuthority
    from recapito.testing.bench import Arrived, Bench, UnsupportedByBench
    from recapito.testing.capturing import Captured, capture
    from recapito.testing.conformance import TransportConformance
    from recapito.testing.context import TestContext
    from recapito.testing.google_server import GoogleServer
    from recapito.testing.https_server import HttpsServer
    from recapito.testing.memory import MemoryMessage, MemoryTransport, ProbingMemoryTransport, memory_info
    from recapito.testing.memory_bench import MemoryBench
    from recapito.testing.microsoft_server import MicrosoftServer
    from recapito.testing.script_server import ScriptServer
    from recapito.testing.signin_context import TestSignInContext
    from recapito.testing.smtp_bench import SmtpBench
    from recapito.testing.smtp_server import SmtpServer
    from recapito.testing.specimen import Specimen
    from recapito.testing.stored import StoredMessage

__all__ = [
    "Arrived",
    "Bench",
    "Captured",
    "CertificateAuthority",
    "GoogleServer",
    "HttpsServer",
    "MemoryBench",
    "MemoryMessage",
    "MemoryTransport",
    "MicrosoftServer",
    "ProbingMemoryTransport",
    "ScriptServer",
    "SmtpBench",
    "SmtpServer",
    "Specimen",
    "StoredMessage",
    "TestContext",
    "TestSignInContext",
    "TransportConformance",
    "UnsupportedByBench",
    "capture",
    "memory_info",
]

_HOME = {
    "Arrived": "bench",
    "Bench": "bench",
    "Captured": "capturing",
    "CertificateAuthority": "authority",
    "GoogleServer": "google_server",
    "HttpsServer": "https_server",
    "MemoryBench": "memory_bench",
    "MemoryMessage": "memory",
    "MemoryTransport": "memory",
    "MicrosoftServer": "microsoft_server",
    "ProbingMemoryTransport": "memory",
    "ScriptServer": "script_server",
    "SmtpBench": "smtp_bench",
    "SmtpServer": "smtp_server",
    "Specimen": "specimen",
    "StoredMessage": "stored",
    "TestContext": "context",
    "TestSignInContext": "signin_context",
    "TransportConformance": "conformance",
    "UnsupportedByBench": "bench",
    "capture": "capturing",
    "memory_info": "memory",
}


def _rewrite_asserts() -> None:
    # Without it an author's failing check shows a bare AssertionError: the kit is no test module of theirs.
    import pytest

    pytest.register_assert_rewrite("recapito.testing.conformance")


if sys.modules.get("pytest"):
    _rewrite_asserts()


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
