"""``recapito profile switch``: move a profile to another way as one act, its sign-in included."""

from typing import TYPE_CHECKING, Any

from recapito.cli.auth_login import by_options
from recapito.cli.command import command, option
from recapito.cli.exits import Exit
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import of_one_profile
from recapito.cli.sign_in import By, sign_in, signed_data, signed_lines
from recapito.cli.words import N_, _

if TYPE_CHECKING:
    from recapito.profile import ProfileKey
    from recapito.signing import SignedIn

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
@pass_run
def switch(
    run: Run,
    operator: str,
    profile: str,
    company: str | None,
    to: str,
    device: bool,
    no_browser: bool,
    port: int | None,
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
    found = run.operators().draft(key, changes)
    done = None
    if needs_sign_in(found, run.store().grant(key), run.plugins):
        run.output.note(_("The profile changes once you have signed in; until then it stays as it is."))
        done = sign_in(run, key, By(device, no_browser, port), changes)
    else:
        run.operators().save(key, changes, by=run.by)
    run.output.data(_data(run, key, done), _lines(run, key, done))
    return Exit.DONE


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
