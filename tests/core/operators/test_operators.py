"""Every change of a profile goes through one door: validated, completed, saved, audited and told."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recapito import Limits, Misconfigured, NotFound, Outcome, Problem, ProfileKey, Secrets, Store, hookimpl
from recapito.attention import Attention, profile_subject, subject_of
from recapito.hookspecs import Change, Subject
from recapito.operators import Changes, Operators
from recapito.plugins import Plugins
from recapito.problem import Scope, Who
from recapito.store.location import key_file

ANNA = ProfileKey("", "anna")
ACME = Changes(
    sender="anna@ditta.example",
    transport="smtp_basic",
    settings={"host": "mail.ditta.example", "port": 465, "security": "ssl"},
    secrets=Secrets({"password": "prima"}),
)
AUTH = Problem("AUTH-FAILED", Outcome.HELD, Who.OPERATOR, Scope.PROFILE)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    with Store.create() as store:
        yield store


@pytest.fixture
def changes() -> list[Change]:
    return []


@pytest.fixture
def operators(store: Store, changes: list[Change]) -> Operators:
    hooks = SimpleNamespace(recapito_record_change=hookimpl(lambda change: changes.append(change)))
    return Operators(store, Plugins.load(hooks=[hooks]))


def test_a_new_profile_is_saved_audited_and_told(
    operators: Operators, store: Store, changes: list[Change]
) -> None:
    saved = operators.save(ANNA, ACME, by="admin")
    assert saved.created
    assert store.get(ANNA) == saved.found
    assert saved.found.secrets["password"].reveal() == "prima"
    row = store.audit()[0]
    assert (row.by, row.action) == ("admin", "created")
    assert "secrets.password" in row.fields
    assert [(change.action, change.by) for change in changes] == [("created", "admin")]


def test_what_is_not_given_stays_as_it_is(operators: Operators) -> None:
    operators.save(ANNA, ACME, by="admin")
    saved = operators.save(ANNA, Changes(sender_name="Anna Verdi"), by="anna")
    assert saved.fields == ("sender_name",)
    assert saved.found.profile.sender == "anna@ditta.example"
    assert saved.found.secrets["password"].reveal() == "prima"


def test_an_empty_secret_means_unchanged(operators: Operators) -> None:
    operators.save(ANNA, ACME, by="admin")
    saved = operators.save(ANNA, Changes(secrets=Secrets({"password": ""})), by="anna")
    assert saved.fields == ()
    assert saved.found.secrets["password"].reveal() == "prima"


def test_saving_what_is_there_already_writes_nothing(
    operators: Operators, store: Store, changes: list[Change]
) -> None:
    operators.save(ANNA, ACME, by="admin")
    before = store.version()
    assert operators.save(ANNA, ACME, by="admin").fields == ()
    assert store.version() == before
    assert len(changes) == 1


def test_a_setting_is_taken_out_by_none(operators: Operators) -> None:
    operators.save(
        ANNA,
        Changes(
            sender="a@ditta.example",
            transport="smtp_basic",
            secrets=ACME.secrets,
            settings={**ACME.settings, "username": "anna"},
        ),
        by="admin",
    )
    saved = operators.save(ANNA, Changes(settings={"username": None}), by="admin")
    assert "username" not in saved.found.profile.settings
    assert saved.fields == ("settings.username",)


def test_every_wrong_field_is_named_at_once_and_nothing_is_saved(operators: Operators, store: Store) -> None:
    wrong = Changes(
        sender="anna@ditta.example",
        transport="smtp_basic",
        settings={"host": "", "port": 99999, "hots": "x"},
        secrets=Secrets({"pin": "1234"}),
    )
    with pytest.raises(Misconfigured) as caught:
        operators.save(ANNA, wrong, by="admin")
    assert {"port", "hots", "pin", "host"} <= set(caught.value.fields)
    assert "1234" not in str(caught.value)
    assert store.get(ANNA) is None
    assert store.audit() == ()


@pytest.mark.parametrize(
    "bad", ["", "anna", "anna@a,eve@b.example", "anna@ditta.example\r\nBcc: x@y.example"]
)
def test_a_sender_that_is_no_address_is_named(operators: Operators, bad: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        operators.save(ANNA, Changes(sender=bad, transport="smtp_basic"), by="admin")
    assert "sender" in caught.value.fields


def test_what_is_wrong_is_said_in_the_readers_language(operators: Operators) -> None:
    with pytest.raises(Misconfigured) as caught:
        operators.save(ANNA, Changes(sender="anna", aliases=("b@",), sender_name="a\nb"), by="admin")
    said = caught.value.problem.explain("it").what
    assert "sender: Questo non è un indirizzo" in said
    assert "sender_name: contiene un carattere di controllo" in said
    assert "not an address" in caught.value.problem.explain("en").what


def test_a_draft_is_validated_and_not_saved(operators: Operators, store: Store) -> None:
    draft = operators.draft(ANNA, ACME)
    assert draft.secrets["password"].reveal() == "prima"
    assert store.get(ANNA) is None


def test_another_transport_does_not_inherit_settings_or_secrets(operators: Operators, store: Store) -> None:
    operators.save(ANNA, ACME, by="admin")
    saved = operators.save(
        ANNA,
        Changes(
            sender="anna@gmail.com",
            transport="gmail_oauth",
            settings={"sign_in": "app-password"},
            secrets=Secrets({"password": "abcd efgh ijkl mnop"}),
        ),
        by="admin",
    )
    assert "host" not in saved.found.profile.settings
    assert saved.found.secrets["password"].reveal() == "abcdefghijklmnop"


# The catalogue


def test_an_address_of_a_known_domain_needs_nothing_but_a_password(operators: Operators) -> None:
    saved = operators.save(
        ANNA, Changes(sender="anna@libero.it", secrets=Secrets({"password": "x"})), by="anna"
    )
    assert saved.proposal is not None
    assert saved.proposal.provider.id == "libero"
    assert dict(saved.found.profile.settings) == {"host": "smtp.libero.it", "port": 465, "security": "ssl"}
    assert saved.found.profile.transport == "smtp_basic"


def test_a_port_that_was_asked_for_chooses_its_endpoint(operators: Operators) -> None:
    changes = Changes(sender="a@libero.it", settings={"port": 587}, secrets=Secrets({"password": "x"}))
    saved = operators.save(ANNA, changes, by="anna")
    assert saved.found.profile.settings["security"] == "starttls"


def test_a_host_that_was_given_is_never_overruled(operators: Operators) -> None:
    changes = Changes(
        sender="a@libero.it",
        transport="smtp_basic",
        settings={"host": "relay.ditta.example"},
        secrets=Secrets({"password": "x"}),
    )
    saved = operators.save(ANNA, changes, by="anna")
    assert saved.proposal is None
    assert saved.found.profile.settings["host"] == "relay.ditta.example"


def test_a_provider_that_takes_no_passwords_names_the_transport_that_works(operators: Operators) -> None:
    changes = Changes(sender="a@outlook.com", transport="smtp_basic", secrets=Secrets({"password": "x"}))
    with pytest.raises(Misconfigured, match="ms365_oauth") as caught:
        operators.save(ANNA, changes, by="anna")
    assert caught.value.problem.code == "PROVIDER-OTHER-WAY"


@pytest.mark.parametrize("transport", [None, "ms365_oauth"])
def test_a_password_for_a_provider_that_takes_none_is_explained_before_the_settings_are(
    operators: Operators, transport: str | None
) -> None:
    typed = Changes(sender="a@outlook.com", transport=transport, secrets=Secrets({"password": "x"}))
    with pytest.raises(Misconfigured) as caught:
        operators.save(ANNA, typed, by="anna")
    assert caught.value.problem.code == "PROVIDER-OTHER-WAY"
    said = caught.value.problem.explain("it")
    assert said.what == "Outlook.com non accetta password dai programmi."
    assert said.do == "Scegli il trasporto ms365_oauth, senza indicare una password."
    assert operators.save(ANNA, Changes(sender="a@outlook.com"), by="anna").created


def test_a_provider_without_settings_says_what_to_ask_for(operators: Operators) -> None:
    plugins = Plugins.load()
    assert plugins.catalogue.provider("mediasoft").ways == ()


@pytest.mark.parametrize("sender", ["anna@ditta.example", "anna@libero.it"])
def test_a_host_without_a_transport_is_for_the_only_one_that_takes_it(
    operators: Operators, sender: str
) -> None:
    changes = Changes(
        sender=sender, settings={"host": "relay.ditta.example"}, secrets=Secrets({"password": "x"})
    )
    saved = operators.save(ANNA, changes, by="anna")
    assert saved.found.profile.transport == "smtp_basic"
    assert saved.found.profile.settings["host"] == "relay.ditta.example"


def test_an_unknown_domain_without_a_transport_is_explained(operators: Operators) -> None:
    with pytest.raises(Misconfigured) as caught:
        operators.save(ANNA, Changes(sender="a@ditta.example"), by="anna")
    assert caught.value.problem.code == "TRANSPORT-MISSING"


# Many at once


def test_many_are_saved_together_or_not_at_all(operators: Operators, store: Store) -> None:
    good = (ANNA, ACME)
    bad = (ProfileKey("", "bruno"), Changes(sender="bruno", transport="smtp_basic"))
    with pytest.raises(Misconfigured):
        operators.save_all([good, bad], by="admin")
    assert store.profiles() == ()
    saved = operators.save_all([good, (ProfileKey("", "bruno"), ACME)], by="admin")
    assert [each.created for each in saved] == [True, True]
    assert len(store.profiles()) == 2
    again = operators.save_all([good, (ProfileKey("", "bruno"), Changes(sender_name="Bruno"))], by="admin")
    assert [each.fields for each in again] == [(), ("sender_name",)]


class Overtaken(Store):
    """A store in which somebody else's save comes in between looking and saving."""

    def save(self, *args: Any, **named: Any) -> str:
        self.meanwhile()
        return super().save(*args, **named)

    def save_many(self, *args: Any, **named: Any) -> list[str]:
        self.meanwhile()
        return super().save_many(*args, **named)

    def meanwhile(self) -> None:
        """Nothing, unless a test says so."""


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("existing", [False, True])
def test_two_people_at_one_profile_are_never_mixed(store: Store, together: bool, existing: bool) -> None:
    overtaken = Overtaken.open()
    hers, his = Operators(overtaken, Plugins.load()), Operators(store, Plugins.load())
    if existing:
        his.save(ANNA, replace(ACME, sender="prima@ditta.example"), by="bruno")
    overtaken.meanwhile = lambda: his.save(ANNA, ACME, by="bruno")  # type: ignore[method-assign,assignment]
    mine = replace(ACME, sender="a.verdi@altra.example", secrets=Secrets({"password": "sua"}))
    save = (
        (lambda: hers.save_all([(ANNA, mine)], by="anna"))
        if together
        else (lambda: hers.save(ANNA, mine, by="anna"))
    )
    with overtaken, pytest.raises(Misconfigured) as caught:
        save()
    assert caught.value.problem.code == "PROFILE-CHANGED"
    found = store.get(ANNA)
    assert found is not None
    assert (found.profile.sender, found.secrets["password"].reveal()) == ("anna@ditta.example", "prima")


# Pausing


def test_a_paused_profile_runs_again_when_its_password_changed(
    operators: Operators, store: Store, changes: list[Change]
) -> None:
    operators.save(ANNA, ACME, by="admin")
    assert operators.pause(ANNA, by="admin", problem=AUTH)
    assert not operators.pause(ANNA, by="admin", problem=AUTH)
    assert store.state(ANNA).problem == AUTH
    operators.save(ANNA, Changes(sender_name="Anna"), by="anna")
    assert store.state(ANNA).paused
    operators.save(ANNA, Changes(secrets=Secrets({"password": "seconda"})), by="anna")
    assert not store.state(ANNA).paused
    assert [change.action for change in changes] == ["created", "paused", "edited", "edited", "resumed"]


def test_a_person_may_pause_and_resume(operators: Operators, store: Store) -> None:
    operators.save(ANNA, ACME, by="admin")
    assert operators.pause(ANNA, by="il capo")
    problem = store.state(ANNA).problem
    assert problem is not None
    assert problem.code == "PROFILE-PAUSED"
    assert "il capo" in problem.explain("it").what
    assert operators.resume(ANNA, by="admin")
    assert not operators.resume(ANNA, by="admin")
    assert not store.state(ANNA).paused


def test_a_removed_profile_is_gone_with_its_secrets(
    operators: Operators, store: Store, changes: list[Change]
) -> None:
    operators.save(ANNA, ACME, by="admin")
    operators.remove(ANNA, by="admin")
    assert store.get(ANNA) is None
    assert changes[-1].action == "removed"


@pytest.mark.parametrize("act", ["remove", "pause", "resume"])
def test_a_profile_that_does_not_exist_is_named(operators: Operators, act: str) -> None:
    with pytest.raises(NotFound, match="anna"):
        getattr(operators, act)(ANNA, by="admin")


# A lost key


@pytest.fixture
def lost(operators: Operators, store: Store) -> str:
    """Anna's password is under a key that is gone; another key writes."""
    operators.save(ANNA, ACME, by="admin")
    gone = key_file().read_text().partition(":")[0]
    key_file().unlink()
    store.keys_new()
    store.keys_rotate(leave_lost=True)
    return gone


@pytest.mark.parametrize("act", ["pause", "remove"])
def test_a_profile_whose_password_is_lost_can_be_paused_and_removed(
    operators: Operators, store: Store, lost: str, act: str
) -> None:
    getattr(operators, act)(ANNA, by="admin")
    row = store.row(ANNA)
    assert row is None or row.state.paused


def test_a_lost_password_is_typed_again(operators: Operators, store: Store, lost: str) -> None:
    saved = operators.save(ANNA, Changes(secrets=Secrets({"password": "nuova"})), by="admin")
    assert saved.fields == ("secrets.password",)
    assert store.get(ANNA) == saved.found
    assert saved.found.secrets["password"].reveal() == "nuova"


def test_what_would_keep_a_lost_password_names_the_key(operators: Operators, store: Store, lost: str) -> None:
    for changes in (Changes(sender_name="Anna"), Changes(secrets=Secrets({"password": ""}))):
        with pytest.raises(Misconfigured) as caught:
            operators.save(ANNA, changes, by="admin")
        assert caught.value.problem.code == "KEY-UNKNOWN"
        assert lost in str(caught.value)
        assert "--leave-lost" in caught.value.problem.explain("it").do


def test_a_lost_password_goes_with_the_transport_that_it_was_for(
    operators: Operators, store: Store, lost: str
) -> None:
    app = Secrets({"password": "abcd efgh ijkl mnop"})
    to_gmail = Changes(
        sender="anna@gmail.com", transport="gmail_oauth", settings={"sign_in": "app-password"}, secrets=app
    )
    assert store.get(operators.save(ANNA, to_gmail, by="admin").found.profile.key) is not None


# Attention


@pytest.mark.parametrize("remembered", [True, False])
def test_a_problem_is_told_once_until_it_was_solved(store: Store, remembered: bool) -> None:
    told: list[tuple[Subject, Problem]] = []
    hooks = SimpleNamespace(
        recapito_request_attention=hookimpl(lambda subject, problem: told.append((subject, problem)))
    )
    attention = Attention(store if remembered else None, Plugins.load(hooks=[hooks]))
    subject = profile_subject(ANNA)
    assert attention.tell(subject, AUTH)
    assert not attention.tell(subject, AUTH)
    assert attention.tell(profile_subject(ProfileKey("", "bruno")), AUTH)
    attention.solved(subject)
    assert attention.tell(subject, AUTH)
    assert told == [(subject, AUTH), (profile_subject(ProfileKey("", "bruno")), AUTH), (subject, AUTH)]


@pytest.mark.parametrize("remembered", [True, False])
def test_subjects_that_read_alike_are_told_apart(store: Store, remembered: bool) -> None:
    attention = Attention(store if remembered else None, Plugins.load())
    alike = [
        profile_subject(ProfileKey("", "a/b")),
        profile_subject(ProfileKey("", "a", "b")),
        profile_subject(ProfileKey("a", "b")),
        Subject("client", "b:c", None, "a"),
        Subject("client", "c", None, "a:b"),
    ]
    assert all(attention.tell(subject, AUTH) for subject in alike)
    attention.solved(alike[0])
    assert [attention.tell(subject, AUTH) for subject in alike] == [True, False, False, False, False]


def test_a_problem_of_a_client_has_one_subject_for_all_its_profiles() -> None:
    shared = Problem("OAUTH-APP-SECRET", Outcome.HELD, Who.ADMINISTRATOR, Scope.CLIENT, {"client": "google"})
    assert (
        subject_of(ANNA, shared)
        == subject_of(ProfileKey("", "bruno"), shared)
        == Subject("client", "google", None, "")
    )
    assert subject_of(ANNA, AUTH) == profile_subject(ANNA)


def test_changes_wait_in_a_sign_in_without_their_secrets() -> None:
    changes = Changes(
        sender="anna@ditta.example",
        sender_name="",
        aliases=("info@ditta.example",),
        transport="memory",
        settings={"account": None, "port": 465},
        secrets=Secrets({"password": "s3greto"}),
        limits=Limits(concurrency=2),
        trusted_host=False,
    )
    kept = json.loads(json.dumps(changes.to_dict()))
    assert "s3greto" not in repr(kept)
    assert Changes.from_dict(kept) == replace(changes, secrets=Secrets())
    assert Changes.from_dict(json.loads(json.dumps(Changes().to_dict()))) == Changes()
