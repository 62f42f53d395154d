"""``recapito auth``: clients, and who is signed in; each verb is in its own module."""

from recapito.cli.command import LazyGroup
from recapito.cli.words import N_

__all__ = ["auth"]

auth = LazyGroup(
    "auth",
    help=N_("Sign in with Google, Microsoft and others, and the company's clients for that."),
    lazy={
        "client": (
            "recapito.cli.auth_client:client",
            N_("The company's OAuth clients: set, list, show, remove."),
        ),
        "login": ("recapito.cli.auth_login:login", N_("Sign an operator in.")),
        "status": ("recapito.cli.auth_status:status", N_("Who is signed in, and until when.")),
        "logout": ("recapito.cli.auth_status:logout", N_("Give a sign-in back, and forget it.")),
    },
)
