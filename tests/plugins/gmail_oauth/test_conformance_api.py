"""gmail_oauth over the Gmail API against the contract: by a person's token, and by a service account's."""

from typing import Any

from gmail_benches import ApiBench

from recapito.testing import TransportConformance

WHOLE = {
    "test_refused_recipient_does_not_stop_the_others": "the Gmail API answers for the message as a whole",
}


class TestApi(TransportConformance):
    unsupported = WHOLE

    def make_bench(self) -> Any:
        return ApiBench.of()


class TestApiByServiceAccount(TransportConformance):
    unsupported = WHOLE

    def make_bench(self) -> Any:
        return ApiBench.of(sign_in="service-account")
