"""``recapito profile remove``, ``pause`` and ``resume``."""

from recapito.cli.command import command
from recapito.cli.exits import Exit
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import of_one_profile
from recapito.cli.words import N_, _

__all__ = ["pause", "remove", "resume"]


@command(N_("Remove a profile and its secrets. What was sent stays in the journal."))
@of_one_profile
@pass_run
def remove(run: Run, operator: str, profile: str, company: str | None) -> int:
    """Remove one profile, after a question."""
    key = run.key(operator, profile, company)
    if not run.confirm(_("Remove {profile} and its secrets?").format(profile=key)):
        run.output.note(_("Nothing was changed."))
        return Exit.FAILED
    run.operators().remove(key, by=run.by)
    _tell(run, str(key), "removed", _("{profile} was removed.").format(profile=key))
    return Exit.DONE


@command(N_("Stop a profile from sending until it is resumed. Sends are then held."))
@of_one_profile
@pass_run
def pause(run: Run, operator: str, profile: str, company: str | None) -> int:
    """Pause one profile; pausing it twice changes nothing."""
    key = run.key(operator, profile, company)
    changed = run.operators().pause(key, by=run.by)
    text = _("{profile} is paused.") if changed else _("{profile} was paused already.")
    _tell(run, str(key), "paused", text.format(profile=key))
    return Exit.DONE


@command(N_("Let a paused profile send again."))
@of_one_profile
@pass_run
def resume(run: Run, operator: str, profile: str, company: str | None) -> int:
    """Resume one profile; resuming one that runs changes nothing."""
    key = run.key(operator, profile, company)
    changed = run.operators().resume(key, by=run.by)
    text = _("{profile} sends again.") if changed else _("{profile} was not paused.")
    _tell(run, str(key), "active", text.format(profile=key))
    return Exit.DONE


def _tell(run: Run, profile: str, state: str, text: str) -> None:
    run.output.data({"profile": profile, "state": state}, text)
