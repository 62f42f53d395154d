"""``recapito providers``: what the catalogue knows about mail hosts."""

from typing import TYPE_CHECKING, Any

import click

from recapito.cli.command import Group
from recapito.cli.limits import limits_shown
from recapito.cli.run import Run, pass_run
from recapito.cli.words import N_, _, language

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recapito.catalogue import Endpoint, Provider, Way
    from recapito.plugins import Plugins

__all__ = ["providers"]

providers = Group("providers", help=N_("Mail providers that are known, and how mail leaves through them."))


@providers.command("list", help=N_("All providers."))
@pass_run
def list_(run: Run) -> None:
    """Print the providers."""
    rows = [
        {
            "id": each.id,
            "title": each.title,
            "kind": each.kind,
            "domains": list(each.domains),
            "transports": list(dict.fromkeys(way.transport for way in each.ways)),
        }
        for each in run.plugins.catalogue.providers
    ]
    columns = [
        ("id", _("id")),
        ("title", _("provider")),
        ("kind", _("kind")),
        ("transports", _("transports")),
    ]
    run.output.rows(rows, columns)


@providers.command(help=N_("One provider: its ways, servers, limits and where that is known from."))
@click.argument("provider")
@pass_run
def show(run: Run, provider: str) -> None:
    """Print one provider."""
    found = run.plugins.catalogue.provider(provider)
    run.output.data(_data(found, run.plugins), _lines(found, run.plugins))


@providers.command(help=N_("The provider of an address, found by its domain."))
@click.argument("address")
@pass_run
def detect(run: Run, address: str) -> None:
    """Print the provider of ``address``."""
    from recapito.address import parse_address
    from recapito.catalogue import problem
    from recapito.errors import NotFound

    domain = parse_address(address, "address").addr_spec.rpartition("@")[2]
    found = run.plugins.catalogue.for_domain(domain)
    if found is None:
        raise NotFound(problem("PROVIDER-NONE", domain=domain))
    run.output.data(_data(found, run.plugins), _lines(found, run.plugins))


def _data(provider: "Provider", plugins: "Plugins") -> dict[str, Any]:
    return {
        "id": provider.id,
        "title": provider.title,
        "kind": provider.kind,
        "domains": list(provider.domains),
        "takes_passwords": provider.takes_passwords,
        "username": provider.username_hint,
        "ways": [
            {
                "transport": way.transport,
                "installed": way.transport in plugins.transports,
                "endpoints": [_endpoint(each) for each in way.endpoints],
                "settings": dict(way.settings),
                "extra": _extra(way),
            }
            for way in provider.ways
        ],
        "limits": provider.limits.to_dict(),
        "hints": _hints(provider),
        "sources": list(provider.sources),
    }


def _endpoint(endpoint: "Endpoint") -> dict[str, Any]:
    return {
        "host": endpoint.host,
        "port": endpoint.port,
        "security": endpoint.security,
        "source": endpoint.source,
        "date": str(endpoint.date),
    }


def _lines(provider: "Provider", plugins: "Plugins") -> "Iterator[str]":
    from recapito.catalogue import source_text

    yield f"{provider.title} ({provider.id}, {provider.kind})"
    yield _("Domains: {domains}").format(domains=", ".join(provider.domains) or "-")
    if not provider.ways:
        yield _("Its servers differ from customer to customer: ask for host, port and security.")
    for place, way in enumerate(provider.ways, 1):
        absent = (
            ""
            if way.transport in plugins.transports
            else "  " + _("(install {extra})").format(extra=_extra(way))
        )
        yield f"{place}. {way.transport}{absent}"
        for each in way.endpoints:
            source = source_text(each.source, language())
            yield f"   {each.host}:{each.port} {each.security}  ({source}, {each.date})"
    for text in _hints(provider):
        yield f"* {text}"
    if not provider.takes_passwords:
        yield _("It takes no passwords from programs: choose a way that signs in.")
    if limits := limits_shown(provider.limits):
        yield _("Limits: {limits}").format(limits=", ".join(limits))


def _hints(provider: "Provider") -> list[str]:
    from recapito.catalogue import hint

    names = [*provider.hints, *(way.note for way in provider.ways if way.note)]
    return [hint(name, language()) for name in dict.fromkeys(names)]


def _extra(way: "Way") -> str:
    return "recapito-" + way.transport.replace("_", "-")
