"""What ``send-many`` says before it starts: how many, through what, and how long the mailbox's limits make it take."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recapito.cli.words import _, ngettext
from recapito.limits import Limits, Rate

if TYPE_CHECKING:
    from recapito.cli.many_before import Left
    from recapito.profile import Profile

__all__ = ["plan_lines"]


def plan_lines(left: "Left", profile: "Profile", limits: Limits) -> Iterator[str]:
    """A line for what is about to happen, and one for each thing that will not."""
    people = sum(len(to) for _letter, to in left.send)
    number = len(left.send)
    yield "".join(
        (
            ngettext("{count} message to send", "{count} messages to send", number).format(count=number),
            ngettext(", to {count} recipient", ", to {count} recipients", people).format(count=people),
            _(", through {profile} ({transport})").format(profile=profile.key, transport=profile.transport),
        )
    )
    if left.accepted:
        yield ngettext(
            "{count} was accepted before, and is not sent again",
            "{count} were accepted before, and are not sent again",
            len(left.accepted),
        ).format(count=len(left.accepted))
    for letter, to in left.unknown:
        yield _("unknown from an earlier run, not sent: {place}, {address} (--again sends it)").format(
            place=letter.place, address=", ".join(to)
        )
    for letter, to in left.under_way:
        yield _("on its way in another run, not sent: {place}, {address}").format(
            place=letter.place, address=", ".join(to)
        )
    if seconds := limits.seconds_for(number, people):
        slowest = max(limits.rates, key=lambda rate: Limits(rates=(rate,)).seconds_for(number, people))
        yield _("The mailbox's limits make it take at least {time}: {rate}.").format(
            time=_duration(seconds), rate=_rate(slowest)
        )


def _rate(rate: Rate) -> str:
    if rate.of == "recipients":
        text = ngettext("{count} recipient in {time}", "{count} recipients in {time}", rate.maximum)
    else:
        text = ngettext("{count} message in {time}", "{count} messages in {time}", rate.maximum)
    return text.format(count=rate.maximum, time=_duration(rate.window))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours and minutes:
        return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    if hours:
        return _("{hours} h").format(hours=hours)
    return _("{minutes} min").format(minutes=minutes) if minutes else _("{seconds} s").format(seconds=rest)
