"""``recapito auth client``: the OAuth registrations that a company brings."""

from typing import TYPE_CHECKING, Any

import click

from recapito.cli.command import Group, option
from recapito.cli.exits import Exit
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import company_option
from recapito.cli.values import read_values
from recapito.cli.words import N_, _, language

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recapito.clients import Clients, SavedClient
    from recapito.secret import Secrets
    from recapito.signin import ClientInfo
    from recapito.store import ClientRow

__all__ = ["client"]

client = Group("client", help=N_("The company's OAuth clients: set, list, show, remove."))


@client.command(
    "set",
    help=N_("Make a client or change it: google, microsoft, a plugin's. A secret is never an argument."),
)
@click.argument("name")
@company_option
@option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    text=N_("A setting of the client; empty takes it out. NAME_file=PATH reads the file into NAME."),
)
@option(
    "--secret-stdin",
    is_flag=False,
    flag_value="",
    metavar="[FIELD]",
    text=N_("Read the secret from standard input; FIELD where the client has several."),
)
@pass_run
def set_(
    run: Run, name: str, company: str | None, settings: tuple[str, ...], secret_stdin: str | None
) -> int:
    """Save the client; profiles that its fault had paused run again."""
    from recapito.settings import secret_fields

    run.store(create=True)
    clients = _clients(run)
    info = clients.info(name)
    secret = secret_fields(info.settings)
    values = read_values(settings, known=frozenset(info.settings.model_fields), secret=frozenset(secret))
    before = clients.get(run.company(company), name)
    secrets = _secrets(run, info, secret, secret_stdin, before)
    saved = clients.save(run.company(company), name, values, secrets, by=run.by)
    run.output.data(_saved_data(saved), _saved_lines(saved, info))
    return Exit.DONE


@client.command("list", help=N_("All clients; their secrets are never shown."))
@company_option
@pass_run
def list_(run: Run, company: str | None) -> int:
    """A table, or JSON lines."""
    named = None if company is None else run.company(company)
    rows = [_data(row) for row in _clients(run).listed(named)]
    columns = [
        ("company", _("company")),
        ("name", _("client")),
        ("client_id", "client_id"),
        ("secrets", _("secrets")),
    ]
    if not rows and not run.output.as_json:
        run.output.note(
            _("There is no client yet. Make one with: recapito auth client set NAME --set client_id=…")
        )
    shown = rows if run.output.as_json else [{**row, "client_id": _its_id(row)} for row in rows]
    run.output.rows(shown, columns)
    return Exit.DONE


@client.command(help=N_("One client: its settings, and which secrets it has."))
@click.argument("name")
@company_option
@pass_run
def show(run: Run, name: str, company: str | None) -> int:
    """Its fields, without the secrets' values."""
    row = _existing(run, name, company)
    run.output.data(_data(row), _lines(row))
    return Exit.DONE


@client.command(help=N_("Remove a client and its secrets: profiles that sign in through it are held."))
@click.argument("name")
@company_option
@pass_run
def remove(run: Run, name: str, company: str | None) -> int:
    """Remove it, after a question."""
    row = _existing(run, name, company)
    if not run.confirm(_("Remove the client {client} and its secrets?").format(client=row.name)):
        run.output.note(_("Nothing was changed."))
        return Exit.FAILED
    _clients(run).remove(row.company, row.name, by=run.by)
    data = {"company": row.company, "name": row.name, "action": "removed"}
    run.output.data(data, _("The client {client} was removed.").format(client=row.name))
    return Exit.DONE


def _its_id(row: dict[str, Any]) -> str | None:
    """What the vendor calls it."""
    settings = row["settings"]
    found: str | None = settings.get("client_id") or settings.get("service_account")
    return found


def _clients(run: Run) -> "Clients":
    from recapito.clients import Clients

    return Clients(run.store(), run.plugins)


def _existing(run: Run, name: str, company: str | None) -> "ClientRow":
    from recapito.catalogue import problem
    from recapito.errors import NotFound

    of_company = run.company(company)
    row = _clients(run).get(of_company, name)
    if row is None:
        raise NotFound(problem("CLIENT-UNKNOWN", client=name, company=of_company))
    return row


def _secrets(
    run: Run,
    info: "ClientInfo",
    fields: tuple[str, ...],
    wanted: str | None,
    before: "ClientRow | None",
) -> "Secrets":
    """What standard input holds; on a terminal what is asked for, where the client has no secret yet."""
    from recapito.secret import Secrets

    if wanted is not None:
        field = wanted or (fields[0] if fields else "")
        if field not in fields:
            known = ", ".join(fields) or "-"
            text = _("{field} is no secret of this client (known: {known})").format(field=field, known=known)
            raise click.BadParameter(text, param_hint="--secret-stdin")
        return Secrets({field: run.read_secret()})
    if not fields or not run.may_ask or (before and before.secret_fields):
        return Secrets()
    from recapito.texts import translation

    title = info.settings.model_fields[fields[0]].title or fields[0]
    question = translation(info.texts, language()).gettext(title)
    return Secrets({fields[0]: run.ask_secret(question, instead=f"--secret-stdin {fields[0]}")})


def _data(row: "ClientRow") -> dict[str, Any]:
    return {
        "company": row.company,
        "name": row.name,
        "settings": dict(row.settings),
        "secrets": list(row.secret_fields),
        "created": row.created.isoformat(),
    }


def _lines(row: "ClientRow") -> "Iterator[str]":
    yield f"{row.company}/{row.name}" if row.company else row.name
    for name, value in sorted(row.settings.items()):
        text = str(value)
        yield f"  {name} = {text.splitlines()[0]} …" if "\n" in text else f"  {name} = {text}"
    yield "  " + _("secrets: {names}").format(names=", ".join(row.secret_fields) or "-")


def _saved_data(saved: "SavedClient") -> dict[str, Any]:
    return {
        **_data(saved.row),
        "created_now": saved.created,
        "fields": list(saved.fields),
        "resumed": [str(key) for key in saved.resumed],
    }


def _saved_lines(saved: "SavedClient", info: "ClientInfo") -> "Iterator[str]":
    from recapito.texts import said_in

    name = said_in(info.shown, language())
    if saved.created:
        yield _("The client {client} was made ({title}).").format(client=saved.row.name, title=name)
    elif saved.fields:
        yield _("The client {client} was changed: {fields}.").format(
            client=saved.row.name, fields=", ".join(saved.fields)
        )
    else:
        yield _("{client}: nothing has changed.").format(client=saved.row.name)
    if saved.resumed:
        yield _("These run again: {profiles}.").format(profiles=", ".join(map(str, saved.resumed)))
    if info.loopback:
        uri = saved.row.settings.get("redirect_uri")
        yield _("Register this return address at the vendor: {uri}").format(
            uri=info.loopback.replace(":{port}", "").replace("{port}", "") + (f", {uri}" if uri else "")
        )
