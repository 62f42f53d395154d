"""recapito: every operator of an application sends mail through their own mailbox.

Nothing here is imported until it is used: ``import recapito`` loads no network, database or web library.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recapito.blocking import Mailer
    from recapito.envelope import Envelope, Notify
    from recapito.errors import (
        DeliveryError,
        Held,
        InvalidMessage,
        Misconfigured,
        NotFound,
        NotSent,
        RecapitoError,
        Refused,
        UnknownOutcome,
    )
    from recapito.hookspecs import hookimpl
    from recapito.limits import Limits, Rate
    from recapito.mailer import AsyncMailer
    from recapito.message import Attachment, Item, Message
    from recapito.outcome import Outcome
    from recapito.problem import Problem
    from recapito.profile import Found, Operator, Profile, ProfileKey, ProfileSource
    from recapito.receipt import Receipt, RecipientReceipt
    from recapito.secret import Secret, Secrets
    from recapito.store import Store
else:
    # Behind "not TYPE_CHECKING", so that a type checker still reports a name that does not exist.
    _HOMES = {
        "AsyncMailer": "mailer",
        "Attachment": "message",
        "DeliveryError": "errors",
        "Envelope": "envelope",
        "Found": "profile",
        "Held": "errors",
        "InvalidMessage": "errors",
        "Item": "message",
        "Limits": "limits",
        "Mailer": "blocking",
        "Message": "message",
        "Misconfigured": "errors",
        "NotFound": "errors",
        "NotSent": "errors",
        "Notify": "envelope",
        "Operator": "profile",
        "Outcome": "outcome",
        "Problem": "problem",
        "Profile": "profile",
        "ProfileKey": "profile",
        "ProfileSource": "profile",
        "Rate": "limits",
        "Receipt": "receipt",
        "RecapitoError": "errors",
        "RecipientReceipt": "receipt",
        "Refused": "errors",
        "Secret": "secret",
        "Secrets": "secret",
        "Store": "store",
        "UnknownOutcome": "errors",
        "hookimpl": "hookspecs",
    }

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("recapito")
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'recapito' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"recapito.{home}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted([*globals(), *_HOMES, "__version__"])


__version__: str

__all__ = [
    "AsyncMailer",
    "Attachment",
    "DeliveryError",
    "Envelope",
    "Found",
    "Held",
    "InvalidMessage",
    "Item",
    "Limits",
    "Mailer",
    "Message",
    "Misconfigured",
    "NotFound",
    "NotSent",
    "Notify",
    "Operator",
    "Outcome",
    "Problem",
    "Profile",
    "ProfileKey",
    "ProfileSource",
    "Rate",
    "RecapitoError",
    "Receipt",
    "RecipientReceipt",
    "Refused",
    "Secret",
    "Secrets",
    "Store",
    "UnknownOutcome",
    "hookimpl",
]
