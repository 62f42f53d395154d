"""The demo itself: servers start, profiles are made, mail leaves, and what arrived is compared with what was sent."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from recapito.catalogue import problem
from recapito.demo.cast import CAST, Actor
from recapito.demo.invoice import make_invoice
from recapito.errors import NotFound
from recapito.message import Message
from recapito.operators import Changes, Operators
from recapito.profile import Profile, ProfileKey
from recapito.secret import Secrets

if TYPE_CHECKING:
    from recapito.blocking import Mailer
    from recapito.plugins import Plugins
    from recapito.receipt import Receipt
    from recapito.store import Store
    from recapito.testing import SmtpServer, StoredMessage

__all__ = ["Performance", "Played", "perform"]


@dataclass(slots=True)
class Played:
    """One actor's send: the receipt, and what the comparison found (None where nothing arrived)."""

    actor: Actor
    receipt: "Receipt"
    file: Path | None = None
    same_bytes: bool | None = None
    same_pdf: bool | None = None


@dataclass(slots=True)
class Performance:
    """The whole demo: where everything lies, the servers, and each actor's send."""

    folder: Path
    servers: dict[str, str] = field(default_factory=dict)
    played: list[Played] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def arrived(self) -> list[Played]:
        """The sends whose message arrived."""
        return [each for each in self.played if each.file]

    @property
    def as_expected(self) -> bool:
        """Whether exactly those with the right password were accepted, and what arrived is what was sent."""
        return all(
            (each.receipt.outcome == "accepted") == (each.actor.typed == each.actor.password)
            and (each.same_bytes and each.same_pdf if each.file else each.receipt.outcome == "held")
            for each in self.played
        )


def perform(tell: Callable[[str], None], folder: Path | None = None) -> Performance:
    """Play it all in ``folder`` (default: a new temporary one, which stays). ``tell`` hears each act's name."""
    started = time.monotonic()
    show = Performance(folder or Path(tempfile.mkdtemp(prefix="recapito-demo-")))
    with ExitStack() as opened:
        tell("servers")
        servers = _servers(opened)
        show.servers = {security: f"{server.host}:{server.port}" for security, server in servers.items()}
        tell("profiles")
        store = _store(opened, show.folder)
        mailer = _mailer(opened, store)
        operators = Operators(store, mailer.plugins)
        for actor in CAST:
            changes = _changes(actor, servers[actor.security], _transport(mailer.plugins))
            operators.save(_key(actor), changes, by="demo")
        tell("sending")
        for actor in CAST:
            show.played.append(_play(actor, mailer, store, show.folder, servers[actor.security]))
    show.seconds = time.monotonic() - started
    return show


def _servers(opened: ExitStack) -> "dict[str, SmtpServer]":
    from recapito.testing import CertificateAuthority, SmtpServer

    authority = CertificateAuthority()
    users = {actor.address: actor.password for actor in CAST}
    return {
        security: opened.enter_context(
            SmtpServer(tls=security, users=users, authority=authority, hostname=f"{security}.demo.example")
        )
        for security in ("ssl", "starttls")
    }


def _store(opened: ExitStack, folder: Path) -> "Store":
    from recapito.store import Store
    from recapito.store.keyfile import KeyFile

    # Keys of its own, so that nothing of this machine's configuration is read or made.
    return opened.enter_context(
        Store.create(f"sqlite:///{folder / 'demo.sqlite'}", keys=KeyFile(folder / "keys"))
    )


def _mailer(opened: ExitStack, store: "Store") -> "Mailer":
    from recapito.blocking import Mailer

    return opened.enter_context(Mailer(store, store=store))


def _key(actor: Actor) -> ProfileKey:
    return ProfileKey(actor.company.id, actor.id)


def _transport(plugins: "Plugins") -> str:
    """The installed transport that takes any server and a password."""
    wanted = {"host", "port", "security", "ca", "password"}
    for name, info in plugins.transports.items():
        if wanted <= set(info.settings.model_fields):
            return name
    raise NotFound(problem("DEMO-TRANSPORT"))


def _changes(actor: Actor, server: "SmtpServer", transport: str) -> Changes:
    return Changes(
        sender=actor.address,
        sender_name=actor.name,
        transport=transport,
        settings={
            "host": "localhost",
            "port": server.port,
            "security": actor.security,
            "ca": server.pem,
        },
        secrets=Secrets({"password": actor.typed}),
    )


def _play(actor: Actor, mailer: "Mailer", store: "Store", folder: Path, server: "SmtpServer") -> Played:
    number = actor.number.replace("/", "-")
    invoice = folder / f"fattura-{number}.pdf"
    invoice.write_bytes(make_invoice(actor, date.today()))
    message = Message(
        to=[actor.to],
        subject=f"Fattura n. {actor.number} è pronta",
        text=f"Buongiorno,\n\nin allegato la fattura n. {actor.number}.\n\nCordiali saluti\n{actor.name}\n",
        attachments=[invoice],
    )
    sent = _rendered(message, _profile(store, actor))
    before = len(server.messages)
    receipt = mailer.send(
        actor.id, sent, company=actor.company.id, reference=f"invoice:{actor.number}", check=False
    )
    played = Played(actor, receipt)
    for arrived in server.messages[before:]:
        played.file = folder / f"fattura-{number}.eml"
        played.file.write_bytes(arrived.content)
        _compare(played, sent, invoice.read_bytes(), arrived)
    return played


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


def _compare(played: Played, sent: bytes, invoice: bytes, arrived: "StoredMessage") -> None:
    played.same_bytes = arrived.content == sent
    attached = [part.get_content() for part in arrived.message.iter_attachments()]
    played.same_pdf = attached == [invoice]
