"""Who a message is from, and what tells it from every other: From, Message-ID, Date."""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from time import time

from recapito.address import Address, parse_address
from recapito.entropy import random_hex
from recapito.invalid import check_text, invalid, shown
from recapito.profile import Profile
from recapito.rendering.header import address_field

__all__ = [
    "allowed_sender",
    "date_text",
    "from_line",
    "is_date",
    "is_message_id",
    "new_message_id",
    "profile_sender",
    "reply_to_line",
    "sent_identifier",
]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Printable ASCII without spaces, angle brackets and a second @; the whole fits one line.
_ID = re.compile(r"<[!-;=?A-~]{1,480}@[!-;=?A-~]{1,480}>")

_DATE = re.compile(
    rf"(?:(?:{'|'.join(_DAYS)}), *)?([0-9]{{1,2}}) +({'|'.join(_MONTHS)}) +([0-9]{{4}}) +"
    r"([0-9]{2}):([0-9]{2})(?::([0-9]{2}))? +(?:[+-][0-9]{2}[0-5][0-9]|UT|GMT|[ECMP][SD]T)(?: *\([^()]*\))?"
)


def new_message_id(domain: str) -> str:
    """A message id that nobody has used, in the sender's ``domain``."""
    return f"<{random_hex(16)}@{domain}>"


def is_message_id(text: str) -> bool:
    """Whether ``text`` is a well-formed message id, brackets included."""
    return _ID.fullmatch(text) is not None


def sent_identifier(text: str, field: str) -> str:
    """``text`` as a message id: brackets may be missing. InvalidMessage (MSG-ID) where it is not one."""
    stripped = check_text(text, field).strip(" ")
    if not stripped.startswith("<"):
        stripped = f"<{stripped}>"
    if not is_message_id(stripped):
        raise invalid("MSG-ID", field=field, id=shown(text))
    return stripped


def date_text(moment: datetime | None) -> str:
    """``moment`` (naive: local time; None: now) as a Date field says it (RFC 5322 §3.3)."""
    if moment is None:
        return _date_of(int(time()))
    if moment.tzinfo is None:
        moment = moment.astimezone()
    return _written(moment)


@lru_cache(maxsize=2)
def _date_of(second: int) -> str:
    """Of a run of messages, thousands have the same."""
    return _written(datetime.fromtimestamp(second).astimezone())


def _written(moment: datetime) -> str:
    offset = moment.utcoffset()
    minutes = round(offset.total_seconds() / 60) if offset else 0
    sign = "-" if minutes < 0 else "+"
    hours, minutes = divmod(abs(minutes), 60)
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04} "
        f"{moment.hour:02}:{moment.minute:02}:{moment.second:02} {sign}{hours:02}{minutes:02}"
    )


def is_date(text: str) -> bool:
    """Whether ``text`` is a well-formed date that exists."""
    match = _DATE.fullmatch(text.strip(" "))
    if match is None:
        return False
    day, month, year, hour, minute, second = match.groups(default="0")
    try:
        datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute))
    except ValueError:
        return False
    return int(second) <= 60 and int(year) >= 1900


def profile_sender(profile: Profile) -> Address:
    """The profile's own address, with its name."""
    return _named(profile.sender, profile.sender_name, "profile.sender")


def allowed_sender(sender: str | None, profile: Profile) -> Address:
    """Who stands in From: ``sender`` where it is the profile's address or alias, the profile's own for None."""
    if sender is None:
        return profile_sender(profile)
    address = parse_address(sender, "sender")
    check_allowed([address], profile)
    return address if address.name else _renamed(address, profile)


def check_allowed(addresses: Iterable[Address], profile: Profile) -> None:
    """InvalidMessage (SENDER-NOT-ALLOWED) unless each address is the profile's sender or one of its aliases."""
    allowed = {_named(text, "", "profile.aliases").key for text in profile.aliases}
    allowed.add(_named(profile.sender, "", "profile.sender").key)
    for address in addresses:
        if address.key not in allowed:
            raise invalid(
                "SENDER-NOT-ALLOWED",
                field="sender",
                address=shown(address.addr_spec),
                sender=profile.sender,
                operator=profile.key.operator,
            )


@lru_cache(maxsize=512)
def from_line(address: Address) -> str:
    """The From field."""
    return address_field("From", [address])


@lru_cache(maxsize=512)
def reply_to_line(reply_to: str) -> str:
    """The Reply-To field of a profile's setting."""
    return address_field("Reply-To", [parse_address(reply_to, "profile.reply_to")])


# A pure function of three texts, kept because parsing costs more than sending (nothing of an operator's state).
@lru_cache(maxsize=512)
def _named(text: str, name: str, field: str) -> Address:
    address = parse_address(text, field)
    return (
        Address(check_text(name, "profile.sender_name").strip(" "), address.local, address.domain)
        if name
        else address
    )


def _renamed(address: Address, profile: Profile) -> Address:
    name = check_text(profile.sender_name, "profile.sender_name").strip(" ")
    return Address(name, address.local, address.domain)
