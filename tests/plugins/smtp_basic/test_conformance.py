"""smtp_basic against the contract, over both ways of encryption."""

from recapito.profile import Found, Profile
from recapito.secret import Secret, Secrets
from recapito.testing import SmtpBench, SmtpServer, TransportConformance
from recapito_smtp_basic.plugin import INFO


def profile(server: SmtpServer, user: str, password: Secret) -> Found:
    settings = {
        "host": "localhost",
        "port": server.port,
        "security": server.tls,
        "username": user,
        "ca": server.pem,
    }
    mine = Profile.of(user.partition("@")[0], sender=user, transport="smtp_basic", settings=settings)
    return Found(mine, Secrets({"password": password}), "1")


class TestOverSsl(TransportConformance):
    def make_bench(self):
        return SmtpBench.of(INFO, profile, tls="ssl")


class TestOverStartTls(TransportConformance):
    def make_bench(self):
        return SmtpBench.of(INFO, profile, tls="starttls")
