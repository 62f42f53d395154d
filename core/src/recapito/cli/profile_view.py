"""``recapito profile list`` and ``show``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from recapito.cli.auth_status import signed_in_as, standing_data
from recapito.cli.command import command, option
from recapito.cli.failures import problem_lines
from recapito.cli.limits import limits_shown
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import of_one_profile
from recapito.cli.shapes import outcome_words, paused_lines, problem_data
from recapito.cli.words import N_, _

if TYPE_CHECKING:
    from recapito.ledger.journal import JournalRow
    from recapito.profile import ProfileKey
    from recapito.signing.standing import Standing
    from recapito.store import ProfileRow

__all__ = ["list_", "show"]


@command(N_("All profiles and their state."))
@option("--company", metavar="NAME", text=N_("Only this company's."))
@pass_run
def list_(run: Run, company: str | None) -> None:
    """Print the profiles, in order of company, operator and name."""
    rows = []
    for each in run.store().profiles(run.company(company) or None if company is None else company):
        key, profile, state = each.key, each.profile, each.state
        rows.append(
            {
                "company": key.company,
                "operator": key.operator,
                "profile": key.name,
                "sender": profile.sender,
                "name": profile.sender_name,
                "transport": profile.transport,
                "state": "paused" if state.paused else "active",
                "problem": state.problem.code if state.problem else None,
            }
        )
    words = {"active": _("active"), "paused": _("paused")}
    columns = [
        ("company", _("company")),
        ("operator", _("operator")),
        ("profile", _("profile")),
        ("sender", _("sender")),
        ("transport", _("transport")),
        ("state", _("state")),
        ("problem", _("problem")),
    ]
    if run.output.as_json:
        run.output.rows(rows, columns)
        return
    if not any(row["company"] for row in rows):
        columns = columns[1:]
    run.output.rows([row | {"state": words[str(row["state"])]} for row in rows], columns)
    if not rows:
        run.output.note(
            _("There is no profile yet. recapito profile set OPERATOR --sender ADDRESS makes one.")
        )


@command(N_("One profile: its settings, which secrets it has, its sign-in, its state and its last sends."))
@of_one_profile
@option("--last", default=5, text=N_("How many of the last sends."))
@pass_run
def show(run: Run, operator: str, profile: str, company: str | None, last: int) -> None:
    """Print one profile. A secret shows only as being there."""
    from recapito.catalogue import problem
    from recapito.errors import NotFound
    from recapito.ledger.journal import Journal
    from recapito.signing.standing import standing

    key = run.key(operator, profile, company)
    found = run.store().row(key)
    if found is None:
        raise NotFound(problem("PROFILE-UNKNOWN", profile=str(key), operator=key.operator))
    journal = Journal(run.store())
    try:
        sends = [_send(row) for row in journal.recent(key=key, limit=last)]
    finally:
        journal.close(timeout=1)
    stands = standing(run.store(), run.plugins, key)
    signed = standing_data(run, stands) if stands else None
    run.output.data(_data(found, sends) | {"sign_in": signed}, _lines(key, found, sends, stands))


def _data(found: "ProfileRow", sends: list[dict[str, Any]]) -> dict[str, Any]:
    profile, state = found.profile, found.state
    return {
        "company": profile.key.company,
        "operator": profile.key.operator,
        "profile": profile.key.name,
        "sender": profile.sender,
        "name": profile.sender_name,
        "aliases": list(profile.aliases),
        "reply_to": profile.reply_to,
        "transport": profile.transport,
        "settings": dict(profile.settings),
        "secrets": list(found.secret_fields),
        "limits": profile.limits.to_dict(),
        "state": "paused" if state.paused else "active",
        "problem": problem_data(state.problem),
        "last_sends": sends,
    }


def _lines(
    key: "ProfileKey", found: "ProfileRow", sends: list[dict[str, Any]], stands: "Standing | None"
) -> Iterator[str]:
    profile, state = found.profile, found.state
    named = f"{profile.sender_name} <{profile.sender}>" if profile.sender_name else profile.sender
    yield f"{key}: {named}"
    facts = {
        _("aliases"): ", ".join(profile.aliases),
        _("answers to"): profile.reply_to,
        _("transport"): profile.transport,
        **{name: _short(value) for name, value in sorted(profile.settings.items())},
        **{name: _("set, not shown") for name in found.secret_fields},
        _("sign-in"): signed_in_as(stands) if stands else "",
        _("limits"): ", ".join(limits_shown(profile.limits)),
        _("state"): _("paused") if state.paused else _("active"),
    }
    width = max(map(len, facts))
    yield from (f"  {name.ljust(width)}  {value}" for name, value in facts.items() if value not in (None, ""))
    known = stands.problem if stands and stands.problem else state.problem
    if known:
        yield from (f"  {line}" for line in problem_lines(known))
    wants = stands is not None and stands.wants_sign_in
    yield from (f"  {line}" for line in paused_lines(key, state, wants_sign_in=wants))
    if sends:
        yield _("Last sends:")
    words = outcome_words()
    for send in sends:
        reference = f"  [{send['reference']}]" if send["reference"] else ""
        yield f"  {send['at']}  {words.get(send['outcome'], _('under way'))}  {', '.join(send['to'])}{reference}"


def _short(value: Any) -> str:
    text = str(value)
    return text.splitlines()[0] + " …" if "\n" in text else text


def _send(row: "JournalRow") -> dict[str, Any]:
    return {
        "at": row.started.isoformat(timespec="seconds"),
        "outcome": row.outcome.value if row.outcome else None,
        "reference": row.reference,
        "message_id": row.message_id,
        "to": list(row.addresses),
        "transport": row.transport,
        "problem": row.problem.code if row.problem else None,
    }
