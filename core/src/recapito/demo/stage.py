"""The demo itself: servers start, profiles are made, mail leaves, and what arrived is compared with what was sent."""

import asyncio
import email
import email.policy
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from recapito.catalogue import problem
from recapito.demo.cast import CAST, Actor
from recapito.demo.invoice import make_invoice
from recapito.demo.notices import Notices
from recapito.demo.performance import Performance, Played, Revoked
from recapito.demo.vendors import Vendors
from recapito.errors import NotFound
from recapito.message import Message
from recapito.operators import Changes, Operators
from recapito.profile import Profile, ProfileKey
from recapito.secret import Secrets
from recapito.testing import CertificateAuthority, SmtpServer
from recapito.texts import Phrase

if TYPE_CHECKING:
    from recapito.blocking import Mailer
    from recapito.plugins import Plugins
    from recapito.store import Store

__all__ = ["perform"]


def perform(tell: Callable[[str], None], folder: Path | None = None) -> Performance:
    """Play it all in ``folder`` (default: a new temporary one, which stays). ``tell`` hears each act's name."""
    started = time.monotonic()
    show = Performance(folder or Path(tempfile.mkdtemp(prefix="recapito-demo-")))
    with ExitStack() as opened:
        tell("servers")
        authority = CertificateAuthority()
        vendors, servers = Vendors(opened, authority), _servers(opened, authority)
        show.servers = {
            name: f"{server.host}:{server.port}" for name, server in (servers | vendors.running).items()
        }
        store, notices = _store(opened, show.folder), Notices()
        stage = _Stage(store, _mailer(opened, store, notices), vendors, servers, show.folder)
        tell("profiles")
        stage.make_profiles()
        tell("signing-in")
        show.signed_in = [vendors.sign_in(actor, stage.mailer) for actor in CAST if actor.signs_in]
        tell("sending")
        show.played = [stage.send(actor) for actor in CAST]
        tell("revoked")
        show.revoked = _revoke(stage, next(actor for actor in CAST if actor.signs_in), notices)
    show.seconds = time.monotonic() - started
    return show


def _servers(opened: ExitStack, authority: CertificateAuthority) -> dict[str, SmtpServer]:
    users = {actor.address: actor.password for actor in CAST if not actor.signs_in}
    return {
        way: opened.enter_context(
            SmtpServer(tls=way, users=users, authority=authority, hostname=f"{way}.demo.example")
        )
        for way in ("ssl", "starttls")
    }


def _store(opened: ExitStack, folder: Path) -> "Store":
    from recapito.store import Store
    from recapito.store.keyfile import KeyFile

    # Keys of its own, so that nothing of this machine's configuration is read or made.
    return opened.enter_context(
        Store.create(f"sqlite:///{folder / 'demo.sqlite'}", keys=KeyFile(folder / "keys"))
    )


def _mailer(opened: ExitStack, store: "Store", notices: Notices) -> "Mailer":
    from recapito.blocking import Mailer

    return opened.enter_context(Mailer(store, store=store, hooks=[notices]))


def _revoke(stage: "_Stage", actor: Actor, notices: Notices) -> Revoked:
    """Take the grant of ``actor`` back at the vendor, and see what becomes of the next mail."""
    vendor = stage.vendors.running[actor.way]
    vendor.revoke(actor.address)
    before = len(notices.heard)
    found = stage.send(actor, suffix="-2")
    asked = len(vendor.requests)
    known = stage.send(actor, suffix="-3")
    requests, told = len(vendor.requests) - asked, len(notices.heard) - before
    stage.vendors.sign_in(actor, stage.mailer)
    return Revoked(found, known, stage.send(actor, suffix="-4"), told, requests)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where everybody acts."""

    store: "Store"
    mailer: "Mailer"
    vendors: Vendors
    servers: dict[str, SmtpServer]
    folder: Path

    def make_profiles(self) -> None:
        """A profile for each actor, and the companies' clients for those who sign in."""
        plugins, operators = self.mailer.plugins, Operators(self.store, self.mailer.plugins)
        self.vendors.bring_clients(self.store, plugins)
        transport = _transport(plugins)
        for actor in CAST:
            changes = (
                self.vendors.changes(actor, plugins)
                if actor.signs_in
                else _changes(actor, self.servers[actor.way], transport)
            )
            operators.save(_key(actor), changes, by="demo")

    def send(self, actor: Actor, suffix: str = "") -> Played:
        """The invoice of ``actor``, sent, and compared with what arrived; ``suffix`` tells its files from others."""
        name = f"fattura-{actor.number.replace('/', '-')}{suffix}"
        invoice = self.folder / f"{name}.pdf"
        invoice.write_bytes(make_invoice(actor, date.today()))
        sent = _rendered(_message(actor, invoice), _profile(self.store, actor))
        far = self.vendors.running[actor.way] if actor.signs_in else self.servers[actor.way]
        before = len(far.messages)
        reference = f"invoice:{actor.number}{suffix}"
        receipt = self.mailer.send(actor.id, sent, company=actor.company.id, reference=reference, check=False)
        played = Played(actor, receipt)
        for arrived in far.messages[before:]:
            played.file = self.folder / f"{name}.eml"
            played.file.write_bytes(arrived.content)
            _compare(played, sent, invoice.read_bytes(), arrived.content)
        return played


def _key(actor: Actor) -> ProfileKey:
    return ProfileKey(actor.company.id, actor.id)


def _transport(plugins: "Plugins") -> str:
    """The installed transport that takes any server and a password."""
    wanted = {"host", "port", "security", "ca", "password"}
    for name, info in plugins.transports.items():
        if wanted <= set(info.settings.model_fields):
            return name
    raise NotFound(problem("DEMO-TRANSPORT", needed=Phrase("a server and a password")))


def _changes(actor: Actor, server: SmtpServer, transport: str) -> Changes:
    return Changes(
        sender=actor.address,
        sender_name=actor.name,
        transport=transport,
        settings={
            "host": "localhost",
            "port": server.port,
            "security": actor.way,
            "ca": server.pem,
        },
        secrets=Secrets({"password": actor.typed}),
    )


def _message(actor: Actor, invoice: Path) -> Message:
    return Message(
        to=[actor.to],
        subject=f"Fattura n. {actor.number} è pronta",
        text=f"Buongiorno,\n\nin allegato la fattura n. {actor.number}.\n\nCordiali saluti\n{actor.name}\n",
        attachments=[invoice],
    )


def _profile(store: "Store", actor: Actor) -> Profile:
    found = store.get(_key(actor))
    assert found is not None
    return found.profile


def _rendered(message: Message, profile: Profile) -> bytes:
    """The message as it leaves, so that what arrives can be compared with it octet by octet."""
    from recapito.rendering import render

    content = render(message, profile).content

    async def collect() -> bytes:
        return b"".join([chunk async for chunk in content.chunks()])

    return asyncio.run(collect())


def _compare(played: Played, sent: bytes, invoice: bytes, arrived: bytes) -> None:
    played.same_bytes = arrived == sent
    message = email.message_from_bytes(arrived, policy=email.policy.default)
    played.same_pdf = [part.get_content() for part in message.iter_attachments()] == [invoice]
