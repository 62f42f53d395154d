"""gmail_oauth over SMTP against the contract: by an app password, a person's token, a service account's token."""

from typing import Any

from gmail_benches import USERS, PasswordBench, SmtpTokenBench, with_password

from recapito.testing import TransportConformance
from recapito_gmail_oauth.plugin import INFO


class TestAppPassword(TransportConformance):
    def make_bench(self) -> Any:
        return PasswordBench.of(INFO, with_password, users=USERS, tls="ssl")


class TestSmtp(TransportConformance):
    def make_bench(self) -> Any:
        return SmtpTokenBench.within(send_by="smtp")


class TestSmtpByServiceAccount(TransportConformance):
    def make_bench(self) -> Any:
        return SmtpTokenBench.within(sign_in="service-account", send_by="smtp")
