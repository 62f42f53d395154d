"""What plugins may add to the catalogue: the first claim wins until the administrator decides otherwise."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from recapito.catalogue.code import known_codes
from recapito.catalogue.provider import Provider, Way
from recapito.catalogue.rule import ReplyRule

__all__ = ["Claims"]


class Claims:
    """The providers so far; each addition is granted, or becomes a line in ``faults``.

    ``choices`` is the administrator's word: which entry (by id) owns a domain that several claim.
    """

    def __init__(self, providers: Iterable[Provider], choices: Mapping[str, str]) -> None:
        self.providers = list(providers)
        self.faults: list[str] = []
        self._choices = {domain.lower(): name for domain, name in choices.items()}

    def provider(self, provider: Provider) -> None:
        """Add an entry, without the domains that another keeps."""
        if any(each.id == provider.id for each in self.providers):
            self.faults.append(
                f"{provider.id}: the catalogue has an entry of that id already; a way can be added to it"
            )
            return
        kept = tuple(domain for domain in provider.domains if self._may_have(provider, domain.lower()))
        self.providers.append(replace(provider, domains=kept))

    def way(self, name: str, way: Way) -> None:
        """Add a way to an entry, after those that it has."""
        for place, provider in enumerate(self.providers):
            if provider.id == name:
                if provider.way(way.transport) is None:
                    self.providers[place] = replace(provider, ways=(*provider.ways, way))
                else:
                    self.faults.append(f"{name}: there is a way by {way.transport} already")
                return
        self.faults.append(f"{name}: there is no such entry to add the way by {way.transport} to")

    def rules(self, rules: Iterable[ReplyRule]) -> list[ReplyRule]:
        """The rules that can be used: a code that exists, and an expression that can be read."""
        return [rule for rule in rules if self._usable(rule)]

    def _may_have(self, provider: Provider, domain: str) -> bool:
        for place, other in enumerate(self.providers):
            if domain not in (each.lower() for each in other.domains):
                continue
            if self._choices.get(domain) == provider.id:
                left = tuple(each for each in other.domains if each.lower() != domain)
                self.providers[place] = replace(other, domains=left)
                return True
            if domain not in self._choices:
                self.faults.append(f"{provider.id}: the domain {domain} belongs to {other.id} already")
            return False
        return True

    def _usable(self, rule: ReplyRule) -> bool:
        if rule.explained is None and rule.code not in known_codes():
            self.faults.append(
                f"rule {rule.code}: there is no such code, and the rule brings none of its own"
            )
            return False
        try:
            re.compile(rule.text)
        except re.error as exc:
            self.faults.append(f"rule {rule.code}: its text is no regular expression: {exc}")
            return False
        return True
