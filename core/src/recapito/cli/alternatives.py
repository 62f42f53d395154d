"""Which other server would work, where a profile's own cannot be reached or speaks another way."""

import asyncio
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recapito.cli.about import spelled
from recapito.cli.run import Run

if TYPE_CHECKING:
    from recapito.operators import Changes
    from recapito.profile import Found, ProfileKey
    from recapito.transport import CheckStep

__all__ = ["Alternative", "find_alternative"]

# Up to here a failure is about the way to the server; from "sign-in" on it is about the account.
_CONNECTING = frozenset({"name", "port", "answer", "encryption"})

# What servers of no known provider usually offer (RFC 8314 §3.3, RFC 6409 §3.1).
_USUAL = ((465, "ssl"), (587, "starttls"))


@dataclass(frozen=True, slots=True)
class Alternative:
    """A server that works; ``signed_in`` is False where the password was kept from it, since it is another's."""

    key: "ProfileKey"
    host: str
    port: int
    security: str
    signed_in: bool

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that lead there."""
        return {"host": self.host, "port": self.port, "security": self.security}

    @property
    def changes(self) -> "Changes":
        """The change of the profile that leads there."""
        from recapito.operators import Changes

        return Changes(settings=self.settings)

    @property
    def command(self) -> str:
        """The command that changes the profile to it."""
        settings = [part for name, value in self.settings.items() for part in ("--set", f"{name}={value}")]
        return f"recapito profile set {spelled(self.key)} {shlex.join(settings)}"

    def to_dict(self) -> dict[str, Any]:
        """What ``check --json`` prints."""
        return {**self.settings, "signed_in": self.signed_in, "command": self.command}


def find_alternative(run: Run, key: "ProfileKey", steps: "Sequence[CheckStep]") -> Alternative | None:
    """The first server that works instead, where the check ended before the sign-in; None where there is none."""
    failed = next((step for step in steps if step.problem), None)
    if failed is None or failed.problem is None:
        return None
    if failed.name not in _CONNECTING and failed.problem.code != "AUTH-NOTOFFERED":
        return None
    for candidate in _candidates(run, key):
        run.output.note(f"… {candidate.host}:{candidate.port} {candidate.security}")
        if _works(run, candidate):
            return candidate
    return None


def _candidates(run: Run, key: "ProfileKey") -> Iterator[Alternative]:
    found = run.store().get(key)
    if found is None or "host" not in found.profile.settings:
        return
    profile = found.profile
    host = str(profile.settings["host"])
    own = run.plugins.catalogue.for_host(host)
    by_address = run.plugins.catalogue.for_domain(profile.sender.rpartition("@")[2])
    endpoints: list[tuple[str, int, str, bool]] = [
        (each.host, each.port, each.security, provider is own)
        for provider in dict.fromkeys([own, by_address])
        if provider
        for way in provider.ways
        if way.transport == profile.transport
        for each in way.endpoints
    ]
    endpoints += [(host, port, security, True) for port, security in _USUAL]
    now = (host, profile.settings.get("port"), profile.settings.get("security"))
    for each in dict.fromkeys(endpoints):
        if each[:3] != now:
            yield Alternative(key, *each)


def _works(run: Run, candidate: Alternative) -> bool:
    """Whether the steps up to the sign-in go well; the sign-in itself is tried only at the same provider."""
    from recapito.errors import RecapitoError

    try:
        draft = run.operators().draft(candidate.key, candidate.changes)
        if candidate.signed_in:
            return _passes(run.mailer().check(candidate.key.operator, draft=draft))
        return asyncio.run(_reaches(draft))
    except RecapitoError:
        return False


def _passes(steps: "Iterator[CheckStep]") -> bool:
    passed = {step.name for step in steps if not step.problem}
    return passed >= _CONNECTING | {"sign-in"}


async def _reaches(draft: "Found") -> bool:
    """Whether a server that is not the profile's own answers. It never gets the profile's secrets."""
    from recapito.mailer import AsyncMailer
    from recapito.profile import Found
    from recapito.secret import Secrets

    stranger = Found(draft.profile, Secrets(dict.fromkeys(draft.secrets, "not for you")), draft.revision)
    passed: set[str] = set()
    async with AsyncMailer({}) as mailer:
        steps = mailer.check(draft.profile.key.operator, draft=stranger)
        async for step in steps:
            if step.problem:
                return False
            passed.add(step.name)
            if passed >= _CONNECTING:
                # Left here: a sign-in that must fail would count towards a lock-out.
                return True
    return False
