"""What plugins offered, and who may keep a name that two of them claim."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recapito.loading import Candidate
from recapito.transport import ClientInfo, TransportInfo

if TYPE_CHECKING:
    from recapito.catalogue import Provider, ReplyRule, Way

__all__ = ["Registered"]


class Registered:
    """Implements both registers that hooks are handed, and holds what came in."""

    def __init__(self) -> None:
        self.transports: dict[str, TransportInfo] = {}
        self.clients: dict[str, ClientInfo] = {}
        self.providers: list[Provider] = []
        self.ways: list[tuple[str, Way]] = []
        self.rules: list[ReplyRule] = []
        self.offers: list[tuple[TransportInfo, Candidate | None]] = []
        self._offered_clients: list[tuple[ClientInfo, Candidate | None]] = []

    def transport(self, info: TransportInfo) -> None:
        """Offer a transport."""
        if not isinstance(info, TransportInfo):
            raise TypeError(f"register.transport takes a TransportInfo, not {type(info).__name__}")
        if not info.name.isidentifier():
            raise ValueError(f"a transport's name is an identifier, not {info.name!r}")
        self.offers.append((info, None))

    def client(self, info: ClientInfo) -> None:
        """Offer a kind of OAuth registration."""
        if not isinstance(info, ClientInfo):
            raise TypeError(f"register.client takes a ClientInfo, not {type(info).__name__}")
        self._offered_clients.append((info, None))

    def provider(self, provider: "Provider") -> None:
        """Add a catalogue entry."""
        self.providers.append(provider)

    def way(self, provider: str, way: "Way") -> None:
        """Add a way to a catalogue entry."""
        self.ways.append((provider, way))

    def rule(self, rule: "ReplyRule") -> None:
        """Add a reply rule."""
        self.rules.append(rule)

    def take(self, offered: "Registered", candidate: Candidate) -> None:
        """All that one plugin offered; names are granted by :meth:`settle`, when every plugin was heard."""
        self.offers += [(info, candidate) for info, _ in offered.offers]
        self._offered_clients += [(info, candidate) for info, _ in offered._offered_clients]
        self.providers += offered.providers
        self.ways += offered.ways
        self.rules += offered.rules

    def settle(self) -> None:
        """Grant each name: to the distribution ``recapito-NAME``, or to the only one that claims it."""
        for name in dict.fromkeys(info.name for info, _ in self.offers):
            claims = [(info, by) for info, by in self.offers if info.name == name]
            owners = [(info, by) for info, by in claims if by and _owns(by, name)]
            granted = owners or (claims if len(claims) == 1 else [])
            if granted:
                self.transports[name] = granted[0][0]
            for info, by in claims:
                if by and not (granted and info is granted[0][0]):
                    others = ", ".join(other.distribution for _, other in claims if other and other is not by)
                    by.fault = (
                        by.fault or f"the transport {name} is also offered by {others or 'itself, twice'}"
                    )
                    by.transports = [each for each in by.transports if each != name]
        for client, by in self._offered_clients:
            if client.name in self.clients and by:
                by.fault = by.fault or f"the client {client.name} is already offered by another plugin"
            else:
                self.clients[client.name] = client

    def claim_for_host(self, transports: Iterable[TransportInfo]) -> None:
        """The host's own transports: it runs the process, so its word is the last."""
        for info in transports:
            self.transports[info.name] = info


def _owns(candidate: Candidate, name: str) -> bool:
    return candidate.distribution.lower().replace("_", "-") == f"recapito-{name.replace('_', '-')}".lower()
