"""A private Postfix on loopback: its own configuration, queue, users, certificate and Maildir."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

__all__ = ["PASSWORD", "REFUSED", "SIZE_LIMIT", "Postfix", "postfix", "why_not"]

#: Of every user; a colon, a space, quotes and a backslash, since clients break on them.
PASSWORD = 'corretto: cavallo "batteria" \\graffetta\''
#: The one recipient that the server does not know.
REFUSED = "nessuno@example.it"
#: Bytes of the largest message it takes.
SIZE_LIMIT = 3_000_000

USERS = ("anna", "bruno")
DOMAINS = ("example.it", "example.com", "xn--perch-fsa.example.it")
COMMANDS = ("postfix", "postconf", "saslpasswd2")

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file_prefixes = {folder}
maillog_file = {folder}/maillog
command_directory = {commands}
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.example.it
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtputf8_enable = yes
message_size_limit = {limit}
virtual_mailbox_domains = {domains}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:all/
virtual_mailbox_limit = {limit}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = example.it
smtpd_sasl_security_options = noanonymous
smtpd_tls_auth_only = yes
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {folder}/server.pem
smtpd_tls_loglevel = 1
smtpd_sender_login_maps = inline:{{ {logins} }}
smtpd_sender_restrictions = reject_authenticated_sender_login_mismatch
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ {refused} = 550 5.1.1 User unknown here }} }}
smtpd_error_sleep_time = 0
smtpd_client_connection_rate_limit = 0
smtpd_recipient_limit = 200
"""

MASTER = """
127.0.0.1:{ssl} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{starttls} inet n - n - - smtpd
127.0.0.1:{hasty} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_timeout=1s
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def why_not() -> str:
    """Why a Postfix cannot be started here; empty where it can."""
    if missing := [name for name in COMMANDS if shutil.which(name, path=_path()) is None]:
        return f"not installed: {', '.join(missing)} (apt-get install postfix libsasl2-modules sasl2-bin)"
    if os.geteuid() != 0:
        return "Postfix starts only as root"
    return ""


@dataclass(frozen=True)
class Postfix:
    """A running instance. ``hasty`` is a port (implicit TLS) that closes a line after a second of silence."""

    folder: Path
    host: str
    ssl: int
    starttls: int
    hasty: int

    @property
    def ca(self) -> Path:
        """The authority that signed its certificate, PEM."""
        return self.folder / "ca.pem"

    @property
    def log(self) -> str:
        """What it logged so far."""
        return (self.folder / "maillog").read_text("utf-8", "replace")

    def messages(self) -> list[bytes]:
        """What arrived, in no order, as it lies in the Maildir (lines end in LF, trace headers on top)."""
        return [path.read_bytes() for path in (self.folder / "mail/all/new").glob("*")]

    def wait_for_log(self, text: str, count: int, seconds: float = 20) -> None:
        """Until ``text`` stands ``count`` times in the log; TimeoutError with its end."""
        end = time.monotonic() + seconds
        while self.log.count(text) < count:
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{text!r} was not logged {count} times; the log ends:\n{self.log[-2000:]}"
                )
            time.sleep(0.02)

    def wait_for(self, wanted: Callable[[bytes], bool], count: int = 1, seconds: float = 20) -> list[bytes]:
        """The messages that ``wanted`` says yes to, once there are ``count``; TimeoutError with the log's end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = [message for message in self.messages() if wanted(message)]
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise TimeoutError(f"{count} messages did not arrive; the log ends:\n{self.log[-2000:]}")


@contextmanager
def postfix() -> Iterator[Postfix]:
    """A Postfix of its own, ended and removed afterwards."""
    # Not pytest's folder: that is closed to everybody but its owner, and Postfix's daemons are not root.
    with tempfile.TemporaryDirectory(prefix="recapito-postfix-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Postfix(folder, "localhost", *_free_ports(3))
        _configure(server)
        _run("postfix", "-c", name, "start")
        try:
            _wait_until_it_answers(server)
            yield server
        finally:
            _run("postfix", "-c", name, "abort")


def _configure(server: Postfix) -> None:
    folder = server.folder
    for part in ("queue", "data", "mail", "sasl"):
        (folder / part).mkdir()
    owner, nobody = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
    os.chown(folder / "data", owner.pw_uid, owner.pw_gid)
    os.chown(folder / "mail", nobody.pw_uid, nobody.pw_gid)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(server.ca)
    authority.issue_cert(server.host, "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        folder / "server.pem"
    )
    logins = ", ".join(f"{{ {user}@example.it = {user}@example.it }}" for user in USERS)
    accented = "{ perché@example.it = anna@example.it }"
    main = MAIN.format(
        folder=folder,
        commands=_setting("command_directory"),
        daemons=_setting("daemon_directory"),
        limit=SIZE_LIMIT,
        domains=", ".join(DOMAINS),
        uid=nobody.pw_uid,
        gid=nobody.pw_gid,
        logins=f"{logins}, {accented}",
        refused=REFUSED,
    )
    (folder / "main.cf").write_text(main)
    (folder / "master.cf").write_text(
        MASTER.format(ssl=server.ssl, starttls=server.starttls, hasty=server.hasty)
    )
    _add_users(folder, owner.pw_uid)


def _add_users(folder: Path, owner: int) -> None:
    database = folder / "sasl/sasldb2"
    (folder / "sasl/smtpd.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\nmech_list: PLAIN LOGIN CRAM-MD5\n"
    )
    for user in USERS:
        _run("saslpasswd2", "-p", "-c", "-f", str(database), "-u", "example.it", user, typed=PASSWORD)
    os.chown(database, owner, -1)


def _wait_until_it_answers(server: Postfix) -> None:
    for port in (server.ssl, server.starttls, server.hasty):
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _setting(name: str) -> str:
    return _run("postconf", "-dh", name).strip()


def _run(*command: str, typed: str = "") -> str:
    done = subprocess.run(
        command, input=typed, capture_output=True, text=True, timeout=60, env=os.environ | {"PATH": _path()}
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _path() -> str:
    # A user's PATH often lacks the folder that mail servers are in.
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
