"""gmail_oauth's app-password mode against the contract: the server is the kit's, the rest is as it ships."""

from dataclasses import replace

from recapito.profile import Found, Profile
from recapito.secret import Secret, Secrets
from recapito.testing import SmtpBench, SmtpServer, TransportConformance
from recapito_gmail_oauth.google import Google
from recapito_gmail_oauth.plugin import INFO
from recapito_gmail_oauth.transport import Gmail

USERS = {"anna@gmail.com": "abcd efgh ijkl mnop", "bruno@gmail.com": "qrst uvwx yzab cdef"}


def profile(server: SmtpServer, user: str, password: Secret) -> Found:
    mine = Profile.of(
        user.partition("@")[0], sender=user, transport="gmail_oauth", settings={"sign_in": "app-password"}
    )
    return Found(mine, Secrets({"password": password}), "1")


class GmailBench(SmtpBench):
    @classmethod
    def of(cls, info, profile, **server):
        return super().of(info, profile, **server)

    def __init__(self, info, profile, server, secrets):
        super().__init__(
            replace(info, factory=lambda: Gmail(Google(smtp_host="localhost", smtp_port=server.port))),
            profile,
            server,
            secrets,
        )
        # People paste the password with the spaces that Google shows; the server knows it without.
        server.users = {user: password.replace(" ", "") for user, password in secrets.items()}
        self._good = (dict(server.users), {}, server.size_limit, set(server.extensions))

    def sent_copies(self) -> int:
        # Gmail files every message that its server takes; the kit's server keeps what it took.
        return len(self.server.messages)


class TestAppPassword(TransportConformance):
    def make_bench(self):
        return GmailBench.of(INFO, profile, users=USERS, tls="ssl")
