"""``recapito profile switch``: move a profile to another way as one act, its sign-in included."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recapito.cli.auth_login import by_options
from recapito.cli.command import command, option
from recapito.cli.exits import Exit
from recapito.cli.profile_set import secret_options, typed_secrets
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import of_one_profile
from recapito.cli.sign_in import By, sign_in, signed_data, signed_lines
from recapito.cli.words import N_, _
from recapito.settings import completed

if TYPE_CHECKING:
    from recapito.operators import Changes
    from recapito.profile import ProfileKey
    from recapito.secret import Secrets
    from recapito.signing import SignedIn
    from recapito.store import ProfileRow

__all__ = ["switch"]


@command(
    N_(
        "Move a profile to another way, for example from a password to graph; it signs in where that is needed."
    )
)
@of_one_profile
@option(
    "--to",
    "to",
    required=True,
    metavar="WAY",
    text=N_("graph, smtp, gmail-api, a transport, or transport:way."),
)
@by_options
@secret_options
@pass_run
def switch(
    run: Run,
    /,
    operator: str,
    profile: str,
    company: str | None,
    to: str,
    password_stdin: bool,
    secret_stdin: str | None,
    **by: Any,
) -> int:
    """Change the profile and sign it in together: where that does not succeed, it stays as it was."""
    from recapito.catalogue import problem
    from recapito.errors import NotFound
    from recapito.switching import needs_sign_in, plan

    key = run.key(operator, profile, company)
    row = run.store().row(key)
    if row is None:
        raise NotFound(problem("PROFILE-UNKNOWN", profile=str(key), operator=key.operator))
    changes = plan(row.profile, to, run.plugins)
    changes = replace(changes, secrets=_secrets(run, row, changes, password_stdin, secret_stdin))
    found = run.operators().draft(key, changes)
    done = None
    if needs_sign_in(found, run.store().grant(key), run.plugins):
        run.output.note(_("The profile changes once you have signed in; until then it stays as it is."))
        done = sign_in(run, key, By(**by), changes)
    else:
        run.operators().save(key, changes, by=run.by)
    run.output.data(_data(run, key, done), _lines(run, key, done))
    _note_lacking(run, key)
    return Exit.DONE


def _note_lacking(run: Run, key: "ProfileKey") -> None:
    """Where the way takes a password, and there is none: how to give it."""
    from recapito.cli.about import spelled
    from recapito.settings import secret_fields

    row = run.store().row(key)
    assert row is not None
    info = run.plugins.info(row.profile.transport)
    whole = row.profile.with_(settings=completed(info.settings, row.profile.settings))
    if not info.sign_in(whole) and not row.secret_fields and "password" in secret_fields(info.settings):
        command = f"recapito profile set {spelled(key)} --password-stdin"
        run.output.note(_("It has no password yet: {command}").format(command=command))


def _secrets(
    run: Run, row: "ProfileRow", changes: "Changes", password_stdin: bool, field: str | None
) -> "Secrets":
    """What a way with a password needs: from standard input, or asked for on a terminal."""
    from recapito.secret import Secrets

    info = run.plugins.info(changes.transport or row.profile.transport)
    kept = row.profile.settings if info.name == row.profile.transport else {}
    moved = row.profile.with_(
        transport=info.name, settings=completed(info.settings, {**kept, **changes.settings})
    )
    if info.sign_in(moved) and not (password_stdin or field):
        return Secrets()
    return typed_secrets(run, info, row, password_stdin=password_stdin, field=field)


def _data(run: Run, key: "ProfileKey", done: "SignedIn | None") -> dict[str, Any]:
    row = run.store().row(key)
    assert row is not None
    return {
        "company": key.company,
        "operator": key.operator,
        "profile": key.name,
        "transport": row.profile.transport,
        "settings": dict(row.profile.settings),
        "signed_in": signed_data(run, done) if done else None,
    }


def _lines(run: Run, key: "ProfileKey", done: "SignedIn | None") -> list[str]:
    row = run.store().row(key)
    assert row is not None
    settings = ", ".join(f"{name}={value}" for name, value in sorted(row.profile.settings.items()))
    text = _("{profile} sends through {transport} now.").format(profile=key, transport=row.profile.transport)
    lines = [f"{text} ({settings})" if settings else text]
    return [*lines, *(signed_lines(run, done) if done else ())]
