"""``recapito profile set``: make a profile or change it; what is left out stays, or comes from the catalogue."""

from typing import TYPE_CHECKING, Any

import click

from recapito.cli.command import command, option
from recapito.cli.exits import Exit
from recapito.cli.limits import limits_from
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import of_one_profile
from recapito.cli.shapes import saved_data
from recapito.cli.values import read_values
from recapito.cli.words import N_, _, language
from recapito.texts import translation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recapito.operators import Changes, Saved
    from recapito.profile import ProfileKey
    from recapito.secret import Secrets
    from recapito.store import ProfileRow
    from recapito.transport import TransportInfo

__all__ = ["saved_lines", "secret_options", "set_", "typed_secrets"]


def secret_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--password-stdin`` and ``--secret-stdin FIELD``."""
    password = option("--password-stdin", is_flag=True, text=N_("Read the password from standard input."))
    named = option("--secret-stdin", metavar="FIELD", text=N_("Read that secret field from standard input."))
    return password(named(function))


@command(N_("Make a profile or change it. An address whose domain is known needs nothing but a password."))
@of_one_profile
@option("--sender", metavar="ADDRESS", text=N_("The address that mail leaves from."))
@option("--name", "sender_name", metavar="TEXT", text=N_("The name beside it."))
@option(
    "--alias",
    multiple=True,
    metavar="ADDRESS",
    text=N_("Another address that may stand in From; adds to those there are."),
)
@option("--remove-alias", multiple=True, metavar="ADDRESS", text=N_("An address that may not any more."))
@option("--reply-to", metavar="ADDRESS", text=N_("Where answers go; empty: to the sender."))
@option("--transport", metavar="NAME", text=N_("How mail leaves; “plugins list” shows what is installed."))
@option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    text=N_("A setting of the transport; empty takes it out. NAME_file=PATH reads the file into NAME."),
)
@secret_options
@option(
    "--limit",
    "limits",
    multiple=True,
    metavar="LIMIT",
    text=N_(
        "A limit of this mailbox, below its provider's: 200/20m, 500/1d, connections=2, recipients=50, size=10MB, none."
    ),
)
@pass_run
def set_(
    run: Run,
    /,
    operator: str,
    profile: str,
    company: str | None,
    settings: tuple[str, ...],
    password_stdin: bool,
    secret_stdin: str | None,
    **fields: Any,
) -> int:
    """Save the profile and print what changed, and what the catalogue filled in."""
    key = run.key(operator, profile, company)
    operators = run.operators(create=True)
    before = run.store().row(key)
    info = _transport(run, before, fields)
    known, secret = _field_names(run, info)
    values = read_values(settings, known=known, secret=secret)
    secrets = typed_secrets(run, info, before, password_stdin=password_stdin, field=secret_stdin)
    saved = operators.save(key, _changes(before, fields, values, secrets), by=run.by)
    _note_changed_secrets(run, secrets, saved)
    run.output.data(saved_data(saved), saved_lines(saved))
    _note_next_step(run, key)
    return Exit.DONE


def _note_next_step(run: Run, key: "ProfileKey") -> None:
    """Where it sends with a sign-in, and has none: how to sign in."""
    from recapito.cli.about import spelled
    from recapito.signing.standing import standing

    stands = standing(run.store(), run.plugins, key)
    if stands is not None and stands.wants_sign_in:
        run.output.note(_("Next: recapito auth login {arguments}").format(arguments=spelled(key)))


def saved_lines(saved: "Saved") -> "Iterator[str]":
    """What was done, for a person."""
    from recapito.catalogue import hint, source_text

    profile = saved.found.profile
    if proposal := saved.proposal:
        source = proposal.endpoint
        yield _("{provider}: {settings}").format(
            provider=proposal.provider.title,
            settings=", ".join(f"{name}={profile.settings.get(name)}" for name in proposal.filled) or "-",
        ) + (f" ({source_text(source.source, language())}, {source.date})" if source else "")
        if note := proposal.way.note:
            yield f"* {hint(note, language())}"
    if saved.created:
        yield _("{profile} was made: {sender} through {transport}.").format(
            profile=profile.key, sender=profile.sender, transport=profile.transport
        )
    elif saved.fields:
        yield _("{profile} was changed: {fields}.").format(
            profile=profile.key, fields=", ".join(saved.fields)
        )
    else:
        yield _("{profile}: nothing has changed.").format(profile=profile.key)


def _transport(run: Run, before: "ProfileRow | None", fields: dict[str, Any]) -> "TransportInfo | None":
    """The transport that the profile will have, as far as it can be known before its settings are."""
    named = fields["transport"] or (before.profile.transport if before else None)
    if named:
        return run.plugins.info(named)
    sender = fields["sender"] or ""
    provider = run.plugins.catalogue.for_domain(sender.rpartition("@")[2])
    ways = [way.transport for way in provider.ways] if provider else []
    return next((run.plugins.transports[name] for name in ways if name in run.plugins.transports), None)


def _field_names(run: Run, info: "TransportInfo | None") -> tuple[frozenset[str], frozenset[str]]:
    """All fields, and the secret ones: of the transport, or of every installed one where it is not known yet."""
    from recapito.settings import secret_fields

    models = [each.settings for each in ([info] if info else run.plugins.transports.values())]
    secret = frozenset(name for model in models for name in secret_fields(model))
    return frozenset(name for model in models for name in model.model_fields), secret


def typed_secrets(
    run: Run,
    info: "TransportInfo | None",
    before: "ProfileRow | None",
    *,
    password_stdin: bool,
    field: str | None,
) -> "Secrets":
    """What was typed: the field that standard input holds, else, on a terminal, those that the profile lacks."""
    from recapito.secret import Secrets
    from recapito.settings import secret_fields

    if password_stdin and field:
        raise click.UsageError(_("--password-stdin and --secret-stdin both read standard input: give one."))
    known = secret_fields(info.settings) if info else ("password",)
    if password_stdin:
        field = "password" if "password" in known or len(known) != 1 else known[0]
    if field is not None:
        return Secrets({field: run.read_secret()})
    stays = before is not None and info is not None and before.profile.transport == info.name
    if info is None or (before and stays and before.secret_fields):
        return Secrets()
    if not run.may_ask:
        known = tuple(name for name in known if info.settings.model_fields[name].is_required())
    return Secrets(
        {
            name: run.ask_secret(
                _title(info, name),
                instead="--password-stdin" if name == "password" else f"--secret-stdin {name}",
            )
            for name in known
        }
    )


def _title(info: "TransportInfo", name: str) -> str:
    package = info.settings.__module__.partition(".")[0]
    return translation(package, language()).gettext(info.settings.model_fields[name].title or name)


def _changes(
    before: "ProfileRow | None", fields: dict[str, Any], settings: dict[str, Any], secrets: "Secrets"
) -> "Changes":
    from recapito.operators import Changes

    aliases = None
    if fields["alias"] or fields["remove_alias"]:
        kept = before.profile.aliases if before else ()
        gone = {each.lower() for each in fields["remove_alias"]}
        aliases = tuple(each for each in dict.fromkeys((*kept, *fields["alias"])) if each.lower() not in gone)
    return Changes(
        sender=fields["sender"],
        sender_name=fields["sender_name"],
        aliases=aliases,
        reply_to=fields["reply_to"],
        transport=fields["transport"],
        settings=settings,
        secrets=secrets,
        limits=limits_from(fields["limits"], before.profile.limits if before else None),
    )


def _note_changed_secrets(run: Run, typed: "Secrets", saved: "Saved") -> None:
    for name, secret in typed.items():
        if not secret:
            run.output.note(_("{field} is empty: the one that is stored stays.").format(field=name))
        elif saved.found.secrets.get(name) != secret:
            run.output.note(_("{field}: blanks in it were taken out.").format(field=name))
        elif secret.reveal() != secret.reveal().strip():
            run.output.note(_("{field} begins or ends with a blank; it was saved so.").format(field=name))
