"""What plugins add to the catalogue, and what becomes of claims that clash."""

import pytest

from recapito.catalogue import Catalogue, Code, Provider, ReplyRule, Retry, Way, builtin
from recapito.errors import NotFound
from recapito.outcome import Outcome
from recapito.problem import Scope, Who
from recapito.reply import ServerReply

MINE = Provider("mine", "My host", domains=("mine.example",), hosts=("smtp.mine.example",))
PIGEON = Way("pigeon", settings={"loft": "north"})


def test_an_entry_is_found_by_domain_and_server() -> None:
    catalogue = builtin().with_(providers=[MINE])
    assert catalogue.for_domain("mine.example") is not None
    assert catalogue.for_host("smtp.mine.example") is not None
    assert catalogue.faults == ()
    assert builtin().for_domain("mine.example") is None


def test_the_first_claim_on_a_domain_wins_and_the_second_is_told() -> None:
    thief = Provider("thief", "Thief", domains=("gmail.com", "thief.example"))
    catalogue = builtin().with_(providers=[thief])
    assert catalogue.provider("gmail") is catalogue.for_domain("gmail.com")
    assert catalogue.for_domain("thief.example") is catalogue.provider("thief")
    assert catalogue.faults == ("thief: the domain gmail.com belongs to gmail already",)


def test_the_administrators_choice_decides() -> None:
    other = Provider("other", "Other", domains=("Gmail.com",))
    catalogue = builtin().with_(providers=[other], choices={"gmail.com": "other"})
    assert catalogue.for_domain("gmail.com") is catalogue.provider("other")
    assert catalogue.faults == ()
    settled = builtin().with_(providers=[other], choices={"gmail.com": "gmail"})
    assert settled.for_domain("gmail.com") is settled.provider("gmail")
    assert settled.faults == ()


def test_an_id_that_exists_is_not_replaced() -> None:
    catalogue = builtin().with_(providers=[Provider("gmail", "Not Gmail")])
    assert catalogue.provider("gmail").title == builtin().provider("gmail").title
    assert "gmail: the catalogue has an entry of that id already" in catalogue.faults[0]


def test_a_way_goes_after_those_that_the_entry_has() -> None:
    catalogue = builtin().with_(ways=[("libero", PIGEON)])
    assert [way.transport for way in catalogue.provider("libero").ways] == ["smtp_basic", "pigeon"]
    assert catalogue.for_domain("libero.it") is catalogue.provider("libero")


@pytest.mark.parametrize(
    ("name", "way", "fault"),
    [
        ("nowhere", PIGEON, "nowhere: there is no such entry"),
        ("libero", Way("smtp_basic"), "libero: there is a way by smtp_basic already"),
    ],
)
def test_a_way_that_cannot_be_added_is_told(name: str, way: Way, fault: str) -> None:
    assert fault in builtin().with_(ways=[(name, way)]).faults[0]


def test_a_plugins_rule_is_asked_before_a_narrower_one_of_core() -> None:
    rule = ReplyRule("SLOW-DOWN", status=(535,), retry=Retry(10))
    reply = ServerReply("smtp", 535, "5.7.8 no", "5.7.8", host="smtp.gmail.com", step="sign-in")
    assert builtin().with_(rules=[rule]).explain(reply).code == "SLOW-DOWN"
    assert builtin().explain(reply).code == "GOOGLE-PASSWORD"


def test_of_a_plugins_rules_the_narrower_explains() -> None:
    wide = ReplyRule("REPLY-PERMANENT", status=(550,))
    narrow = ReplyRule("RCPT-UNKNOWN", status=(550,), enhanced=("5.9.9",))
    catalogue = builtin().with_(rules=[wide, narrow])
    assert catalogue.explain(ServerReply("smtp", 550, "x", "5.9.9")).code == "RCPT-UNKNOWN"


def test_a_plugin_may_bring_a_code_of_its_own() -> None:
    code = Code("PIGEON-LOST", Outcome.NOT_SENT, Who.NOBODY, Scope.MESSAGE)
    rule = ReplyRule(
        "PIGEON-LOST", error=("lost-pigeon",), via=("http",), explained=code, package="my_pigeons"
    )
    catalogue = builtin().with_(rules=[rule])
    found = catalogue.explain(ServerReply("http", 404, error="lost-pigeon"))
    assert (found.code, found.outcome, found.package) == ("PIGEON-LOST", Outcome.NOT_SENT, "my_pigeons")
    assert catalogue.code("PIGEON-LOST") is code


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (ReplyRule("NOT-A-CODE"), "there is no such code"),
        (ReplyRule("SLOW-DOWN", text="("), "no regular expression"),
    ],
)
def test_a_rule_that_cannot_be_used_is_told_and_left_out(rule: ReplyRule, fault: str) -> None:
    catalogue = builtin().with_(rules=[rule])
    assert fault in catalogue.faults[0]
    assert rule not in catalogue.rules


def test_words_of_a_reply_become_parameters() -> None:
    rule = ReplyRule("REPLY-PERMANENT", text=r"policy (?P<rcpt>\w+)")
    found = builtin().with_(rules=[rule]).explain(ServerReply("smtp", 550, "by policy P17"))
    assert found.params["rcpt"] == "P17"


def test_a_rule_may_ask_for_the_domain_of_the_account() -> None:
    catalogue = builtin().with_(rules=[ReplyRule("SLOW-DOWN", domains=("school.example",), status=(550,))])
    ours = ServerReply("smtp", 550, "no", account="anna@pupils.school.example")
    assert catalogue.explain(ours).code == "SLOW-DOWN"
    assert catalogue.explain(ServerReply("smtp", 550, "no", account="anna@x.it")).code == "REPLY-PERMANENT"


def test_additions_keep_earlier_ones() -> None:
    catalogue = builtin().with_(providers=[Provider("gmail", "x")]).with_(providers=[MINE])
    assert catalogue.provider("mine")
    assert len(catalogue.faults) == 1


def test_an_unknown_code_is_named() -> None:
    with pytest.raises(NotFound, match=r"CODE-UNKNOWN.*NO-SUCH"):
        Catalogue().code("NO-SUCH")
