"""The catalogue of one process: core's providers and rules, and what plugins added to them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Self

from recapito.catalogue.claims import Claims
from recapito.catalogue.code import Code, find_code, known_codes, problem
from recapito.catalogue.generic import generic_code
from recapito.catalogue.moment import Retry
from recapito.catalogue.pasted import pasted_reply
from recapito.catalogue.provider import MB, Provider, Way
from recapito.catalogue.reading import builtin_providers, builtin_rules
from recapito.catalogue.rule import ReplyRule
from recapito.errors import NotFound
from recapito.outcome import Outcome
from recapito.problem import Problem, Scope
from recapito.reply import ServerReply

__all__ = ["Catalogue", "builtin"]


class Catalogue:
    """What is known about mail hosts. It never changes once made; any thread may use it."""

    def __init__(
        self,
        providers: Iterable[Provider] | None = None,
        rules: Iterable[ReplyRule] | None = None,
        faults: Iterable[str] = (),
    ) -> None:
        # None: core's own, read only when somebody asks for them.
        self._given_providers = None if providers is None else tuple(providers)
        self._given_rules = None if rules is None else tuple(rules)
        self.faults = tuple(faults)

    @cached_property
    def providers(self) -> tuple[Provider, ...]:
        """Every entry, core's first."""
        return builtin_providers() if self._given_providers is None else self._given_providers

    @cached_property
    def rules(self) -> tuple[ReplyRule, ...]:
        """Every rule in the order in which they are asked: plugins' before core's, narrow before wide."""
        given = builtin_rules() if self._given_rules is None else self._given_rules
        widest_last = sorted(given, key=lambda rule: rule.specificity, reverse=True)
        return tuple(sorted(widest_last, key=lambda rule: rule.source == "core"))

    @property
    def codes(self) -> Mapping[str, Code]:
        """Core's codes by name."""
        return known_codes()

    def code(self, name: str) -> Code:
        """The code of that name; NotFound (CODE-UNKNOWN) where there is none."""
        for rule in self.rules if name not in known_codes() else ():
            if rule.explained is not None and rule.explained.code == name:
                return rule.explained
        return find_code(name)

    def provider(self, name: str) -> Provider:
        """The entry of that id; NotFound (PROVIDER-UNKNOWN) where there is none."""
        for provider in self.providers:
            if provider.id == name:
                return provider
        raise NotFound(problem("PROVIDER-UNKNOWN", provider=name))

    def for_domain(self, domain: str) -> Provider | None:
        """The entry whose addresses are of that domain."""
        name = domain.lower().rstrip(".")
        while name:
            if name in self._by_domain:
                return self._by_domain[name]
            _, _, parent = name.lstrip("*.").partition(".")
            name = f"*.{parent}" if parent else ""
        return None

    def for_host(self, host: str) -> Provider | None:
        """The entry with that server."""
        return self._by_host.get(host.lower().rstrip("."))

    def for_mailbox(self, address: str, host: str = "") -> Provider | None:
        """The entry whose limits and rules hold for ``address`` at ``host``: the server's, else the domain's."""
        if host:
            return self.for_host(host)
        return self.for_domain(address.rpartition("@")[2])

    def with_(
        self,
        providers: Iterable[Provider] = (),
        ways: Iterable[tuple[str, Way]] = (),
        rules: Iterable[ReplyRule] = (),
        *,
        choices: Mapping[str, str] | None = None,
    ) -> Self:
        """A catalogue with what plugins add. What cannot be granted is a line in ``faults``.

        The first claim on an id or a domain wins, unless ``choices`` (domain to entry id) says otherwise; a way
        goes after those that its entry has.
        """
        claims = Claims(self.providers, choices or {})
        for provider in providers:
            claims.provider(provider)
        for name, way in ways:
            claims.way(name, way)
        usable = claims.rules(rules)
        return type(self)(claims.providers, (*usable, *self.rules), (*self.faults, *claims.faults))

    def explain(self, reply: ServerReply) -> Problem:
        """What the reply means, by the narrowest rule that it meets; where none does, the server's own words.

        ``reply.params["worked"]`` says whether this host has worked before for the profile (1 or 0), where it is
        known: a name that has vanished is then a passing failure, and a refused password may have expired.
        """
        for rule in self.rules:
            if rule.matches(reply):
                return self._by_rule(rule, reply)
        code, retry, outcome = generic_code(reply)
        return self._problem(code, reply, retry, outcome=outcome)

    def match_text(self, text: str, *, host: str = "", **known: str) -> Problem:
        """What a reply means that a person pasted; ``known`` are other fields of ServerReply."""
        return self.explain(pasted_reply(text, host=host, **known))

    def _by_rule(self, rule: ReplyRule, reply: ServerReply) -> Problem:
        found = self._problem(
            rule.code if rule.explained is None else rule.explained,
            reply,
            rule.retry,
            outcome=rule.outcome,
            params=dict(rule.params) | rule.found_in(reply),
        ).with_(package=rule.package)
        if rule.refuses_alias and not reply.own_sender:
            return found.with_(outcome=Outcome.REFUSED, scope=Scope.MESSAGE)
        return found

    def _problem(
        self,
        code: str | Code,
        reply: ServerReply,
        retry: Retry | None,
        *,
        outcome: Outcome | None = None,
        params: Mapping[str, str | int | float] | None = None,
    ) -> Problem:
        known = find_code(code) if isinstance(code, str) else code
        outcome = outcome or known.outcome
        waits = outcome is Outcome.NOT_SENT and (retry is not None or reply.retry_after is not None)
        return Problem(
            known.code,
            outcome,
            known.who,
            known.scope,
            params=self._params(known.code, reply) | dict(params or {}),
            reply=reply.text or None,
            step=reply.step or None,
            host=reply.host or None,
            retry_at=(retry or Retry()).moment(datetime.now(UTC), reply.retry_after) if waits else None,
        )

    def _params(self, code: str, reply: ServerReply) -> dict[str, str | int | float]:
        named: dict[str, str | int | float] = {
            "a": reply.account,
            "b": reply.sender,
            "rcpt": reply.recipient,
            "port": reply.port,
            "error": reply.error,
        }
        for name, source in (("n", "size"), ("max", "limit")):
            if isinstance(size := reply.params.get(source), (int, float)):
                named[name] = f"{size / MB:.1f}".removesuffix(".0")
        found = {name: value for name, value in named.items() if value} | dict(reply.params)
        if code == "NET-DNS":
            found.setdefault("hint", self.similar_host(reply.host) or "")
        elif code == "TLS-NAME":
            found.setdefault("preset", self._preset(reply) or "")
        return {name: value for name, value in found.items() if value != ""}

    def similar_host(self, host: str) -> str | None:
        """A known server whose name is nearly ``host``: what was probably meant."""
        from difflib import get_close_matches

        near = get_close_matches(host.lower(), list(self._by_host), n=1, cutoff=0.85)
        return near[0] if near and near[0] != host.lower() else None

    def _preset(self, reply: ServerReply) -> str | None:
        """The server that the catalogue has for the account; only for a known provider, and another host."""
        for address in (reply.account, reply.sender):
            provider = self.for_domain(address.rpartition("@")[2])
            for way in provider.ways if provider else ():
                for endpoint in way.endpoints:
                    return endpoint.host if endpoint.host != reply.host.lower() else None
        return None

    @cached_property
    def _by_domain(self) -> dict[str, Provider]:
        return _first((domain, each) for each in self.providers for domain in each.domains)

    @cached_property
    def _by_host(self) -> dict[str, Provider]:
        return _first((host, each) for each in self.providers for host in each.hosts)


@cache
def builtin() -> Catalogue:
    """Core's own catalogue, made once; its files are read when they are first needed."""
    return Catalogue()


def _first(claims: Iterable[tuple[str, Provider]]) -> dict[str, Provider]:
    found: dict[str, Provider] = {}
    for name, provider in claims:
        found.setdefault(name.lower(), provider)
    return found
