"""The header of a message that is finished: checked, its Bcc taken out, its ids and date made good."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.errors import InvalidHeaderDefect, NonPrintableDefect
from email.headerregistry import BaseHeader

from recapito.address import Address, parse_address, parse_address_list
from recapito.envelope import Envelope
from recapito.invalid import check_text, decoded_words, invalid, shown
from recapito.profile import Profile
from recapito.rendering.header import address_field, check_name, encoded_field, text_field
from recapito.rendering.identity import (
    check_allowed,
    date_text,
    from_line,
    is_date,
    is_message_id,
    new_message_id,
    profile_sender,
    reply_to_line,
)
from recapito.rendering.rendered import check_reachable, envelope_for
from recapito.rendering.streamed import ADDRESS_FIELDS

__all__ = ["HeaderField", "ReadyHeader", "prepare", "read_value"]

_IDENTITY = frozenset({"date", "message-id"})
_BCC = frozenset({"bcc", "resent-bcc"})
_IDS = frozenset({"message-id", "resent-message-id", "in-reply-to", "references", "content-id"})
#: What may stand there once (RFC 5322 §3.6); of a second Date or Message-ID only the first well-formed one stays.
_ONCE = frozenset({"from", "sender", "reply-to", "to", "cc", "subject"})


@dataclass(frozen=True, slots=True)
class HeaderField:
    """One field, unfolded. ``encoded``: its text may hold encoded words; ``lines``: as it stood, where it did."""

    name: str
    text: str
    encoded: bool = True
    lines: str | None = None

    @property
    def key(self) -> str:
        """The name in lower case."""
        return self.name.lower()

    def checked(self) -> "HeaderField":
        """This field, if it is one; InvalidMessage naming it otherwise."""
        check_text(self.text, check_name(self.name))
        return self

    def addresses(self) -> tuple[Address, ...]:
        """The addresses of an address field."""
        return parse_address_list(self.text, self.name)

    def written(self) -> str:
        """The field's lines as they leave."""
        if self.lines is not None and self.lines.isascii():
            return self.lines
        if self.key in ADDRESS_FIELDS and (addresses := self.addresses()):
            return address_field(self.name, addresses)
        if self.encoded and self.text.isascii():
            return encoded_field(self.name, self.text)
        return text_field(self.name, decoded_words(self.text) if self.encoded else self.text)


@dataclass(frozen=True, slots=True)
class ReadyHeader:
    """What :func:`prepare` found and made."""

    head: str
    envelope: Envelope
    message_id: str


def read_value(name: str, value: object) -> HeaderField:
    """A field as the standard library keeps it: parsed (decoded), raw text of a parsed message, or a legacy Header."""
    if isinstance(value, BaseHeader):
        if name.lower() in ADDRESS_FIELDS and any(
            isinstance(defect, (InvalidHeaderDefect, NonPrintableDefect)) for defect in value.defects
        ):
            # The parser went on with a part of it: nobody knows which of the addresses was meant.
            raise invalid("ADDR-SYNTAX", field=name, address=shown(str(value)))
        # Ids are never encoded, whatever they look like.
        encoded = name.lower() in _IDS
        return HeaderField(name, str(value).replace("\t", " "), encoded).checked()
    text = value if isinstance(value, str) else str(getattr(value, "encode", value.__str__)())
    if not text.isascii():  # bytes of a parsed message, kept as surrogates
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    for fold in ("\r\n ", "\r\n\t", "\n ", "\n\t", "\t"):
        text = text.replace(fold, " ")
    return HeaderField(name, text.strip(" ")).checked()


def prepare(
    fields: Sequence[HeaderField], profile: Profile, to: Sequence[str] | None, *, complete: bool
) -> ReadyHeader:
    """Check ``fields`` against the profile, and write them: without Bcc, with a good Date and Message-ID.

    ``complete`` adds From and Reply-To from the profile where they are missing; otherwise a message without From
    is refused. ``to`` replaces the recipients that the fields name.
    """
    for key, count in Counter(field.key for field in fields).items():
        if count > 1 and key in _ONCE:
            raise invalid("MSG-HEADER-TWICE", name=key.title())
    present = {field.key for field in fields}
    added = [] if "from" in present else [_missing_from(profile, complete=complete)]
    if complete and profile.reply_to and "reply-to" not in present:
        added.append(reply_to_line(profile.reply_to))
    sender = _sender(fields, profile)
    recipients = _recipients(fields) if to is None else _given(to)
    envelope = envelope_for(sender, recipients)
    kept, message_id = _identified([field for field in fields if field.key not in _BCC], sender)
    for field in kept:
        if field.key in ADDRESS_FIELDS and not field.text.isascii():
            check_reachable(envelope, field.addresses(), field.name)
    return ReadyHeader("".join([*added, *(field.written() for field in kept)]), envelope, message_id)


def _missing_from(profile: Profile, *, complete: bool) -> str:
    if not complete:
        raise invalid("MSG-FROM", sender=profile.sender)
    return from_line(profile_sender(profile))


def _sender(fields: Iterable[HeaderField], profile: Profile) -> Address:
    """Whose message it is; every address in From, Sender and their Resent- twins must be the profile's."""
    found = {field.key: field.addresses() for field in fields if field.key in {"from", "sender"}}
    resent = [field for field in fields if field.key in {"resent-from", "resent-sender"}]
    authors, senders = found.get("from"), found.get("sender", ())
    if authors is None:
        authors = (profile_sender(profile),)
    if not authors:
        raise invalid("MSG-FROM", sender=profile.sender)
    if len(senders) > 1 or (len(authors) > 1 and not senders):
        raise invalid("MSG-SENDER", count=max(len(authors), len(senders)))
    check_allowed(
        [*authors, *senders, *(address for field in resent for address in field.addresses())], profile
    )
    return senders[0] if len(authors) > 1 else authors[0]


def _recipients(fields: Sequence[HeaderField]) -> list[Address]:
    names = {"to", "cc", "bcc"}
    # A message that was resent goes to whom it was resent to (RFC 5322 §3.6.6), which two such blocks do not say.
    if any(field.key in {"resent-to", "resent-cc", "resent-bcc"} for field in fields):
        names = {"resent-to", "resent-cc", "resent-bcc"}
        if Counter(field.key for field in fields)["resent-date"] > 1:
            raise invalid("MSG-RESENT")
    return [address for field in fields if field.key in names for address in field.addresses()]


def _given(to: Sequence[str]) -> list[Address]:
    return [parse_address(text, "to") for text in ((to,) if isinstance(to, str) else to)]


def _identified(fields: Sequence[HeaderField], sender: Address) -> tuple[list[HeaderField], str]:
    """``fields`` with one Date and one Message-ID: the first well-formed one, or a new one."""
    dates = [field for field in fields if field.key == "date" and is_date(field.text)]
    ids = [field for field in fields if field.key == "message-id" and is_message_id(field.text)]
    # A good one stays in its place, so that a finished message leaves octet by octet as it was handed over.
    good = [*dates[:1], *ids[:1]]
    kept = [field for field in fields if field.key not in _IDENTITY or any(field is each for each in good)]
    if not dates:
        kept.append(HeaderField("Date", date_text(None)))
    message_id = ids[0].text if ids else new_message_id(sender.domain)
    if not ids:
        kept.append(HeaderField("Message-ID", message_id))
    return kept, message_id
