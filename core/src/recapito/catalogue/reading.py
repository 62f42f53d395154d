"""From the catalogue's TOML to its objects, each file read once and only when it is asked for."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from recapito.catalogue.code import FOLDER, read_toml
from recapito.catalogue.moment import Retry
from recapito.catalogue.provider import MB, Endpoint, Pec, Provider, Way
from recapito.catalogue.rule import ReplyRule
from recapito.limits import Limits
from recapito.outcome import Outcome

__all__ = ["builtin_providers", "builtin_rules", "provider_from", "rule_from"]

_SEVERAL = frozenset(
    {"via", "hosts", "domains", "status", "enhanced", "error", "step", "credential", "aadsts"}
)


@cache
def builtin_rules() -> tuple[ReplyRule, ...]:
    """Core's reply rules, as ``rules.toml`` has them."""
    data = read_toml("rules.toml")
    return tuple(rule_from(row, data["hosts"]) for group in data["rules"].values() for row in group)


@cache
def builtin_providers() -> tuple[Provider, ...]:
    """Core's providers, one file each, in order of id."""
    found = sorted((FOLDER / "providers").glob("*.toml"))
    return tuple(provider_from(path.stem, read_toml(f"providers/{path.name}")) for path in found)


def rule_from(row: Mapping[str, Any], families: Mapping[str, list[str]]) -> ReplyRule:
    """A rule from its TOML table; ``hosts`` may name one of the ``families``."""
    fields = dict(row)
    if isinstance(fields.get("hosts"), str):
        fields["hosts"] = families[fields["hosts"]]
    for name in _SEVERAL & fields.keys():
        fields[name] = tuple(fields[name])
    if "outcome" in fields:
        fields["outcome"] = Outcome(fields["outcome"])
    if "retry" in fields:
        fields["retry"] = _retry(fields["retry"])
    return ReplyRule(**fields, source="core")


def _retry(said: float | str) -> Retry:
    return Retry(midnight=said.removeprefix("midnight ")) if isinstance(said, str) else Retry(said)


def provider_from(name: str, row: Mapping[str, Any]) -> Provider:
    """A provider from its TOML document."""
    own = row.get("own_domain_limits")
    return Provider(
        id=name,
        title=row["title"],
        kind=row.get("kind", "mail"),
        domains=tuple(row.get("domains", ())),
        hosts=tuple(dict.fromkeys([*_hosts(row), *row.get("hosts", ())])),
        ways=tuple(_way(each) for each in row.get("ways", ())),
        limits=Limits.from_dict(row.get("limits", {})),
        own_domain_limits=None if own is None else Limits.from_dict(own),
        hints=tuple(row.get("hints", ())),
        pec=_pec(row.get("pec")) if row.get("kind") == "pec" else None,
        username_hint=row.get("username", "address"),
        passwords_until=row.get("passwords_until"),
        sources=tuple(row.get("sources", ())),
    )


def _hosts(row: Mapping[str, Any]) -> Iterator[str]:
    for way in row.get("ways", ()):
        for endpoint in way.get("endpoints", ()):
            yield endpoint["host"]


def _way(row: Mapping[str, Any]) -> Way:
    fields = dict(row)
    endpoints = tuple(_endpoint(each) for each in fields.pop("endpoints", ()))
    return Way(endpoints=endpoints, **fields)


def _endpoint(row: Mapping[str, Any]) -> Endpoint:
    return Endpoint(**row)


def _pec(row: Mapping[str, Any] | None) -> Pec:
    return Pec() if row is None else Pec(size_times_recipients=row["total_mb"] * MB, assumed=False)
