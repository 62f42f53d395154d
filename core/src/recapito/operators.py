"""Every change of a profile: validated, completed from the catalogue, saved, audited, told to the hooks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from recapito import settings
from recapito.attention import Attention, profile_subject
from recapito.catalogue import problem
from recapito.errors import Misconfigured, NotFound
from recapito.hookspecs import Change
from recapito.limits import Limits
from recapito.profile import Found, Profile, ProfileKey
from recapito.proposal import Proposal, fitting_transport, propose
from recapito.secret import Secrets
from recapito.senders import checked_senders

if TYPE_CHECKING:
    from recapito.plugins import Plugins
    from recapito.problem import Problem
    from recapito.store import ProfileRow, Save, Store
    from recapito.transport import TransportInfo

__all__ = ["Changes", "Operators", "Prepared", "Saved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What to change in a profile; None means unchanged, in ``settings`` it takes a setting out.

    ``secrets`` are only those that were typed: one that is absent, or empty, stays as it is.
    """

    sender: str | None = None
    sender_name: str | None = None
    aliases: tuple[str, ...] | None = None
    reply_to: str | None = None
    transport: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)
    limits: Limits | None = None
    trusted_host: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """What :meth:`from_dict` takes back: JSON types only, without the secrets."""
        given = {name: getattr(self, name) for name in _PLAIN if getattr(self, name) is not None}
        if self.aliases is not None:
            given["aliases"] = list(self.aliases)
        if self.limits is not None:
            given["limits"] = self.limits.to_dict()
        return given | {"settings": dict(self.settings)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The changes that :meth:`to_dict` wrote."""
        aliases, limits = stored.get("aliases"), stored.get("limits")
        plain: dict[str, Any] = {name: stored.get(name) for name in _PLAIN}
        return cls(
            **plain,
            aliases=None if aliases is None else tuple(aliases),
            limits=None if limits is None else Limits.from_dict(limits),
            settings=stored.get("settings") or {},
        )


#: The changes that are what they are in JSON too.
_PLAIN = ("sender", "sender_name", "reply_to", "transport", "trusted_host")


@dataclass(frozen=True, slots=True)
class Saved:
    """A profile as it was saved; ``fields`` changed, ``proposal`` says what the catalogue filled in."""

    found: Found
    created: bool
    fields: tuple[str, ...]
    proposal: Proposal | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A profile as it would be, and what saves it together with something else (a grant); None: nothing changes."""

    found: Found
    created: bool
    fields: tuple[str, ...]
    save: "Save | None"


@dataclass(frozen=True, slots=True)
class _Draft:
    found: Found
    before: Found | None
    #: Why secrets that were there could not be opened, by field.
    lost: "Mapping[str, Problem]"
    fields: tuple[str, ...]
    proposal: Proposal | None
    #: Whether there is a grant for the transport that the profile leaves: the store takes it away with the change.
    signs_out: bool


class Operators:
    """The one door for changes of profiles, for command line, page and host alike. Blocking; any thread."""

    def __init__(self, store: "Store", plugins: "Plugins") -> None:
        self._store = store
        self._plugins = plugins
        self._attention = Attention(store, plugins)

    def draft(self, key: ProfileKey, changes: Changes) -> Found:
        """The profile as it would be, for a check of unsaved values; nothing is saved.

        Raises Misconfigured with ``fields``: every wrong field is named at once.
        """
        return self._draft(key, changes).found

    def prepare(self, key: ProfileKey, changes: Changes) -> Prepared:
        """As :meth:`draft`, with what the store is given to save it in a transaction with something else."""
        from recapito.store import Save

        draft = self._draft(key, changes)
        created = draft.before is None
        save = Save(
            draft.found.profile,
            _typed(changes, draft),
            "created" if created else "edited",
            draft.fields,
            _seen(draft),
        )
        return Prepared(draft.found, created, draft.fields, save if created or draft.fields else None)

    def save(self, key: ProfileKey, changes: Changes, *, by: str) -> Saved:
        """Validate, save, audit and tell. A paused profile whose secrets or settings changed runs again.

        Raises Misconfigured (PROFILE-CHANGED) where somebody made or changed it meanwhile: two people's halves
        are never put together.
        """
        draft = self._draft(key, changes)
        if draft.before is not None and not draft.fields:
            return Saved(draft.before, False, (), draft.proposal)
        action = "edited" if draft.before else "created"
        revision = self._store.save(
            draft.found.profile,
            _typed(changes, draft),
            by=by,
            action=action,
            fields=draft.fields,
            expect_revision=_seen(draft),
        )
        return self._told(draft, revision, by)

    def save_all(self, items: Iterable[tuple[ProfileKey, Changes]], *, by: str) -> tuple[Saved, ...]:
        """All of them in one transaction, or none: Misconfigured for the first that does not fit."""
        drafts = [(self._draft(key, changes), changes) for key, changes in items]
        changed = [(draft, changes) for draft, changes in drafts if draft.fields or draft.before is None]
        revisions = self._store.save_many(
            [
                (
                    draft.found.profile,
                    _typed(changes, draft),
                    "edited" if draft.before else "created",
                    draft.fields,
                    _seen(draft),
                )
                for draft, changes in changed
            ],
            by=by,
        )
        by_key = {draft.found.profile.key: rev for (draft, _), rev in zip(changed, revisions, strict=True)}
        return tuple(
            self._told(draft, by_key[draft.found.profile.key], by)
            if draft.found.profile.key in by_key
            else Saved(draft.found, False, (), draft.proposal)
            for draft, _ in drafts
        )

    def remove(self, key: ProfileKey, *, by: str) -> None:
        """Take the profile and its secrets away; NotFound where there is none."""
        found = self._existing(key)
        self._store.remove(key, by=by)
        self._attention.solved(profile_subject(key))
        self._tell(found.profile, "removed", by)

    def pause(self, key: ProfileKey, *, by: str, problem: "Problem | None" = None) -> bool:
        """Stop the profile; True where it was running. Without a problem, a person's wish is the reason."""
        found = self._existing(key)
        reason = problem or _paused_by(key, by)
        if not self._store.pause(key, reason, by=by):
            return False
        self._tell(found.profile, "paused", by, problem=reason)
        return True

    def resume(self, key: ProfileKey, *, by: str) -> bool:
        """Let it run again; True where it was paused."""
        found = self._existing(key)
        if not self._store.resume(key, by=by):
            return False
        self._attention.solved(profile_subject(key))
        self._tell(found.profile, "resumed", by)
        return True

    def _existing(self, key: ProfileKey) -> "ProfileRow":
        found = self._store.row(key)
        if found is None:
            raise NotFound(problem("PROFILE-UNKNOWN", profile=str(key), operator=key.operator))
        return found

    def _draft(self, key: ProfileKey, changes: Changes) -> _Draft:
        opened = self._store.opened(key)
        before, lost = (opened.found, opened.lost) if opened else (None, {})
        wrong: dict[str, str] = {}
        profile = _merged(key, before.profile if before else None, changes, wrong)
        self._refuse_if(key, wrong)
        has_password = any(changes.secrets.values())
        if not profile.transport and profile.settings:
            named = fitting_transport(
                profile.settings, profile.sender, self._plugins, has_password=has_password
            )
            profile = profile.with_(transport=named or "")
        proposal = propose(profile, self._plugins, has_password=has_password)
        profile = proposal.profile if proposal else profile
        info = self._plugins.info(profile.transport)
        moved = before is not None and before.profile.transport != profile.transport
        kept = before.secrets if before and not moved else Secrets()
        secrets = _kept_and_typed(kept, changes.secrets, info)
        if not moved:
            _refuse_to_keep(lost, secrets, info)
        validated, wrong = settings.validate(info.settings, profile.settings, secrets, package=info.texts)
        if validated is None:
            self._refuse_if(key, wrong)
            raise AssertionError("validate names what is wrong")
        found = Found(
            profile.with_(settings=validated.settings), validated.secrets, before.revision if before else ""
        )
        signs_out = moved and self._store.grant(key) is not None
        return _Draft(found, before, lost, _changed(before, found, lost), proposal, signs_out)

    def _refuse_if(self, key: ProfileKey, wrong: dict[str, str]) -> None:
        if wrong:
            raise settings.misfit(key, wrong)

    def _told(self, draft: _Draft, revision: str, by: str) -> Saved:
        key = draft.found.profile.key
        found = Found(draft.found.profile, draft.found.secrets, revision)
        self._tell(found.profile, "edited" if draft.before else "created", by, fields=draft.fields)
        if draft.signs_out:
            self._tell(found.profile, "signed_out", by, fields=("grant",))
        repaired = {"settings", "secrets", "transport", "sender"} & {
            name.partition(".")[0] for name in draft.fields
        }
        if not repaired or not draft.before or self._still_dead(found.profile):
            return Saved(found, draft.before is None, draft.fields, draft.proposal)
        if self._store.resume(key, by=by):
            self._attention.solved(profile_subject(key))
            self._tell(found.profile, "resumed", by)
        return Saved(found, draft.before is None, draft.fields, draft.proposal)

    def _still_dead(self, profile: Profile) -> bool:
        """Whether the grant that paused the profile is dead as before: only a new sign-in brings it back."""
        paused = self._store.state(profile.key).problem
        if paused is None or not self._plugins.info(profile.transport).sign_in(profile):
            return False
        grant = self._store.grant(profile.key)
        if grant is None or grant.problem is None or grant.transport != profile.transport:
            return False
        return grant.problem.code == paused.code

    def _tell(self, profile: Profile, action: Any, by: str, **more: Any) -> None:
        if self._plugins.implements("recapito_record_change"):
            self._plugins.record_change(profile, Change(action, by, datetime.now(UTC), **more))


def _paused_by(key: ProfileKey, by: str) -> "Problem":
    return problem("PROFILE-PAUSED", profile=str(key), operator=key.operator, by=by)


def _merged(key: ProfileKey, before: Profile | None, changes: Changes, wrong: dict[str, str]) -> Profile:
    old = before or Profile(key, sender="", transport="")
    moved = changes.transport is not None and changes.transport != old.transport
    merged = ({} if moved else dict(old.settings)) | dict(changes.settings)
    profile = Profile(
        key,
        sender=old.sender if changes.sender is None else changes.sender,
        transport=old.transport if changes.transport is None else changes.transport,
        sender_name=old.sender_name if changes.sender_name is None else changes.sender_name,
        aliases=old.aliases if changes.aliases is None else changes.aliases,
        reply_to=old.reply_to if changes.reply_to is None else changes.reply_to or None,
        settings={name: value for name, value in merged.items() if value is not None and value != ""},
        limits=old.limits if changes.limits is None else changes.limits,
        trusted_host=old.trusted_host if changes.trusted_host is None else changes.trusted_host,
    )
    return checked_senders(profile, wrong)


def _kept_and_typed(kept: Secrets, typed: Secrets, info: "TransportInfo") -> Secrets:
    known = set(settings.secret_fields(info.settings))
    return Secrets(
        {name: kept[name] for name in kept if name in known} | {n: typed[n] for n in typed if typed[n]}
    )


def _refuse_to_keep(lost: "Mapping[str, Problem]", secrets: Secrets, info: "TransportInfo") -> None:
    """A secret that does not open is no loss where it is typed anew, or no longer needed."""
    for name in settings.secret_fields(info.settings):
        if name in lost and name not in secrets:
            raise Misconfigured(lost[name])


def _changed(before: Found | None, after: Found, lost: "Mapping[str, Problem]") -> tuple[str, ...]:
    old = before.profile if before else Profile(after.profile.key, sender="", transport="")
    names = ("sender", "sender_name", "aliases", "reply_to", "transport", "limits", "trusted_host")
    fields = [name for name in names if getattr(old, name) != getattr(after.profile, name)]
    settled = dict(old.settings), dict(after.profile.settings)
    fields += [
        f"settings.{name}"
        for name in sorted({*settled[0], *settled[1]})
        if settled[0].get(name) != settled[1].get(name)
    ]
    kept = before.secrets if before else Secrets()
    fields += [
        f"secrets.{name}"
        for name in sorted({*kept, *lost, *after.secrets})
        if name in lost or kept.get(name) != after.secrets.get(name)
    ]
    return tuple(fields)


def _seen(draft: _Draft) -> str:
    """The revision that the profile must still be of: what was typed was meant for that one."""
    from recapito.store import ABSENT

    return draft.before.revision if draft.before else ABSENT


def _typed(changes: Changes, draft: _Draft) -> dict[str, Any]:
    """The secrets to write: those that were typed, as the model left them; those of another transport go."""
    before = draft.before.secrets if draft.before else Secrets()
    written: dict[str, Any] = {
        name: draft.found.secrets[name] for name in changes.secrets if changes.secrets[name]
    }
    return written | {name: None for name in (*before, *draft.lost) if name not in draft.found.secrets}
