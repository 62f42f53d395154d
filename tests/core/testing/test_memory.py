"""The memory transport passes the checks that every transport must pass."""

from contextlib import AbstractContextManager

from recapito.testing import MemoryBench, MemoryTransport, ProbingMemoryTransport, TransportConformance
from recapito.transport import Capabilities


class TestMemory(TransportConformance):
    """As it is made by default."""

    def make_bench(self) -> AbstractContextManager[MemoryBench]:
        return MemoryBench.of()


class TestDeepMemory(TransportConformance):
    """Four sends at once on a session, and it can look whether a message left."""

    def make_bench(self) -> AbstractContextManager[MemoryBench]:
        return MemoryBench.of(ProbingMemoryTransport(depth=4))


class TestNarrowMemory(TransportConformance):
    """It claims little: recipients come from the headers, and are few."""

    def make_bench(self) -> AbstractContextManager[MemoryBench]:
        claims = Capabilities(maximum_size=300_000, maximum_recipients=3, own_envelope=False, streams=False)
        return MemoryBench.of(MemoryTransport(capabilities=claims))
