"""An application's own tokens, through a mailer: each is good for one mailbox, and goes with no other."""

from typing import Any

import pytest
from paper_vendor import PaperTransport, Vendor

from recapito import Mailer, Message, ProfileKey, Store
from recapito.operators import Changes, Operators

ANNA = ProfileKey("", "anna")


@pytest.fixture
def operators(store: Store, mailer: Mailer) -> Operators:
    made = Operators(store, mailer.plugins)
    made.save(ANNA, Changes(settings={"sign_in": "app"}), by="admin")
    return made


def accounts(paper: PaperTransport) -> list[str]:
    """Whose tokens went, by what they say."""
    return [token.removeprefix("token-").split("-at-")[0] for _, token in paper.tokens]


def test_a_profile_that_became_another_mailboxs_gets_a_token_of_that(
    operators: Operators,
    mailer: Mailer,
    store: Store,
    paper: PaperTransport,
    vendor: Vendor,
    message: Message,
) -> None:
    mailer.send("anna", message)
    operators.save(ANNA, Changes(sender="info@example.it"), by="admin")
    mailer.send("anna", message)
    assert accounts(paper) == ["anna", "info"]
    operators.save(ANNA, Changes(settings={"account": "anna@example.it"}), by="admin")
    mailer.send("anna", message)
    assert accounts(paper) == ["anna", "info", "anna"]


def test_another_spelling_of_a_mailbox_asks_nobody_again(
    operators: Operators, mailer: Mailer, paper: PaperTransport, vendor: Vendor, message: Message
) -> None:
    mailer.send("anna", message)
    operators.save(ANNA, Changes(settings={"account": "ANNA@example.it"}), by="admin")
    mailer.send("anna", message)
    assert vendor.asked["refresh"] == 1


def test_what_an_administrator_signed_in_is_used(
    operators: Operators, mailer: Mailer, store: Store, vendor: Vendor, message: Message
) -> None:
    vendor.account = ""  # it does not say whose it is
    begun = mailer.begin_sign_in("anna")
    mailer.finish_sign_in("anna", {"state": begun.state})
    signed_in = store.grant(ANNA)
    mailer.send("anna", message)
    assert signed_in is not None
    used: Any = store.grant(ANNA)
    assert (used.id, used.account) == (signed_in.id, "anna@example.it")
