"""An SMTP server on loopback that behaves, until it is told not to."""

import ssl
from collections.abc import Callable, Collection, Mapping
from typing import Self

from recapito.testing.authority import CertificateAuthority
from recapito.testing.smtp_conduct import Conduct, Tls
from recapito.testing.smtp_protocol import SmtpConnection

__all__ = ["SmtpServer"]


class SmtpServer(Conduct):
    """A server in a thread of its own: a context manager, listening while inside it.

    ``tls`` is ``ssl`` (implicit), ``starttls`` (required before anything else) or ``plain``. ``users`` maps
    names to passwords, ``tokens`` to access tokens (XOAUTH2), and ``token_fits`` says whether a name may sign in
    with a token; with none of them nobody signs in. The certificate is
    ``authority``'s for loopback, unless ``context`` is another server context. ``extensions`` are EHLO's other
    lines: ``DSN`` and ``CHUNKING`` are understood too. ``mail_max``, ``rcpt_max`` and ``rcpt_domain_max`` are said by
    LIMITS and kept (421 and the end of the line, 452); ``delay`` is a long line's round trip in seconds.

    Everything that came is kept: ``messages``, ``commands``, ``connections``, ``handshakes``, ``logins``,
    ``login_failures``, ``credentials_in_clear``, ``turns``, ``sent_bytes``. The knobs: :meth:`refuse`,
    :meth:`drop`, :meth:`hold`, :meth:`stall`, :meth:`allow`, :meth:`drop_idle`, and the attributes
    ``size_limit``, ``extensions``, ``mechanisms``, ``users``, ``tokens``, ``delay``, ``starts_for_nobody``
    and the limits, which the next command obeys.
    """

    def __init__(
        self,
        *,
        tls: Tls = "ssl",
        users: Mapping[str, str] | None = None,
        tokens: Mapping[str, str] | None = None,
        token_fits: Callable[[str, str], bool] | None = None,
        authority: CertificateAuthority | None = None,
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        hostname: str = "mail.example.it",
        size_limit: int = 50_000_000,
        extensions: Collection[str] = ("8BITMIME", "ENHANCEDSTATUSCODES", "PIPELINING", "SMTPUTF8"),
        mechanisms: Collection[str] = ("PLAIN", "LOGIN"),
        delay: float = 0.0,
        mail_max: int | None = None,
        rcpt_max: int | None = None,
        rcpt_domain_max: int | None = None,
    ) -> None:
        super().__init__(f"smtp-{tls}")
        self.tls = tls
        self.users = dict(users or {})
        self.tokens = dict(tokens or {})
        self.token_fits = token_fits
        self.authority = authority or CertificateAuthority()
        self.context = context or (None if tls == "plain" else self.authority.server_context())
        self.host = host
        self.port = port
        self.hostname = hostname
        self.size_limit = size_limit
        self.extensions = set(extensions)
        self.mechanisms = list(mechanisms) + (["XOAUTH2"] if tokens and "XOAUTH2" not in mechanisms else [])

        self.delay = delay
        self.mail_max = mail_max
        self.rcpt_max = rcpt_max
        self.rcpt_domain_max = rcpt_domain_max
        self.starts_for_nobody = False

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.run(self._listen())
        except BaseException:
            super().__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.call(self._close)
        super().__exit__(*exc_info)

    @property
    def pem(self) -> str:
        """What a client trusts to accept this server's certificate."""
        return self.authority.pem

    async def _listen(self) -> None:
        context = self.context if self.tls == "ssl" else None
        self.port = await self.listen(lambda: SmtpConnection(self), self.host, self.port, context)

    def _close(self) -> None:
        for connection in list(self.live.values()):
            if connection.line is not None:
                connection.line.abort()
