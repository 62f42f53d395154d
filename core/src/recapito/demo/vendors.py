"""Who signs in: stand-ins for Google and Microsoft, the company's clients there, and a program at the browser."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from recapito.catalogue import problem
from recapito.clients import Clients
from recapito.demo.cast import CAST, Actor, Way
from recapito.errors import NotFound
from recapito.operators import Changes
from recapito.profile import Profile, ProfileKey
from recapito.settings import completed
from recapito.signing import SignedIn
from recapito.testing import CertificateAuthority, GoogleServer, MicrosoftServer
from recapito.texts import N_, Phrase

if TYPE_CHECKING:
    from recapito.blocking import Mailer
    from recapito.plugins import Plugins
    from recapito.store import Store

__all__ = ["Vendor", "Vendors"]

Vendor = GoogleServer | MicrosoftServer

# What is said where nothing that is installed signs in there.
_NEEDED = {"google": N_("a sign-in with Google"), "microsoft": N_("a sign-in with Microsoft")}
# Nobody listens there: the program at the browser reads where it was sent to, and goes no further.
_PORT = 8400


class Vendors:
    """Both of them, running while ``opened`` is; each knows the one actor who signs in there."""

    def __init__(self, opened: ExitStack, authority: CertificateAuthority) -> None:
        at = {actor.way: actor.address for actor in CAST}
        google = GoogleServer(at["google"], authority=authority)
        microsoft = MicrosoftServer(at["microsoft"], authority=authority)
        self.running: dict[str, Vendor] = {"google": google, "microsoft": microsoft}
        for vendor in self.running.values():
            opened.enter_context(vendor)

    def bring_clients(self, store: "Store", plugins: "Plugins") -> None:
        """Enter what the companies registered there, as their administrator does."""
        for actor in CAST:
            if actor.signs_in:
                vendor, clients = self.running[actor.way], Clients(store, plugins)
                settings, secrets = vendor.client_settings(), vendor.client_secrets()
                clients.save(actor.company.id, actor.way, settings, secrets, by="demo")

    def changes(self, actor: Actor, plugins: "Plugins") -> Changes:
        """The profile of one who signs in: an address, and no password."""
        transport = _transport(actor.way, plugins)
        return Changes(sender=actor.address, sender_name=actor.name, transport=transport)

    def sign_in(self, actor: Actor, mailer: "Mailer") -> "SignedIn":
        """Sign ``actor`` in, as a page of the application would: to the vendor, consent, and back."""
        company = actor.company.id
        back = mailer.plugins.clients[actor.way].loopback.format(port=_PORT)
        begun = mailer.begin_sign_in(actor.id, company=company, redirect_uri=back, by="demo")
        query = self.running[actor.way].visit(begun.url)
        found = mailer.finish_sign_in(actor.id, query, company=company, by="demo")
        assert isinstance(found, SignedIn), "only a device waits"
        return found


def _transport(way: Way, plugins: "Plugins") -> str:
    """The installed transport that signs in with the client of that name, unless told otherwise."""
    for name, info in plugins.transports.items():
        profile = Profile(ProfileKey("", "demo"), "demo@demo.example", name)
        profile = profile.with_(settings=completed(info.settings, {}))
        make = info.sign_ins.get(info.sign_in(profile))
        if make is not None and make(profile).client == way:
            return name
    raise NotFound(problem("DEMO-TRANSPORT", needed=Phrase(_NEEDED[way])))
