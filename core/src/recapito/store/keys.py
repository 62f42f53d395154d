"""The keys that encrypt secrets: where they come from, and how they are written down."""

import base64
import binascii
import os
import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.secret import Secret
from recapito.texts import Phrase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["EnvironmentKeys", "KeySource", "Keyring", "NewKey", "key_source", "keys_new"]

#: ``id:key,id:key``, the newest first; or the word ``keyring``, for the one of the operating system.
VARIABLE = "RECAPITO_KEYS"

_ID = re.compile(r"[A-Za-z0-9._-]{1,32}\Z")
_LENGTH = 32


class KeySource(Protocol):
    """Where keys are kept. A host may bring its own (a vault): it is read again when an id is unknown."""

    @property
    def place(self) -> str:
        """What a problem calls it."""
        ...

    def read(self) -> Secret | None:
        """All keys as ``id:base64`` with commas or line ends between, the newest first; None without any."""
        ...

    def add(self, key: Secret, *, only_first: bool = False) -> bool:
        """Put ``key`` (``id:base64``) in front, durably; with ``only_first`` not where there is one already.

        False where this process cannot change the source.
        """
        ...


class NewKey(str):
    """A new key's id. ``deploy`` is what the source must be set to where the process cannot do it itself."""

    __slots__ = ("deploy",)
    deploy: Secret | None


class EnvironmentKeys:
    """Keys in ``RECAPITO_KEYS``: whoever deploys the processes deploys the keys."""

    place = VARIABLE

    def read(self) -> Secret | None:
        """What the variable says."""
        return Secret(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None

    def add(self, key: Secret, *, only_first: bool = False) -> bool:  # noqa: ARG002
        """False: a process cannot change what others will be started with."""
        return False


def key_source() -> KeySource:
    """The source that this process is configured for: the environment, the OS keyring, or the key file."""
    configured = os.environ.get(VARIABLE, "")
    if configured.strip() == "keyring":
        from recapito.store.oskeyring import OsKeyring

        return OsKeyring()
    if configured:
        return EnvironmentKeys()
    from recapito.store.keyfile import KeyFile

    return KeyFile()


def keys_new(source: KeySource | None = None) -> NewKey:
    """Add a key that only decrypts, until ``Store.keys_rotate`` makes it the writing key; its id.

    Where the source is the environment, nothing is changed: ``deploy`` holds what to set ``RECAPITO_KEYS`` to
    in every process before rotating.
    """
    source = source or key_source()
    present = source.read()
    if present is not None:
        parsed(present, source.place)  # never add to what cannot be read
    made, line = new_key()
    if not source.add(line):
        both = [line.reveal()] + ([present.reveal()] if present else [])
        made.deploy = Secret(",".join(both))
    return made


def new_key() -> tuple[NewKey, Secret]:
    """A new key's id, and the line that a source keeps."""
    made = NewKey(f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(3)}")
    made.deploy = None
    return made, Secret(f"{made}:{base64.b64encode(secrets.token_bytes(_LENGTH)).decode()}")


def parsed(text: Secret, place: str) -> "dict[str, AESGCM]":
    """The keys by id, in the order of the source. Raises Misconfigured (KEY-FORMAT) naming the id at fault."""
    found, fault = _found_in(text)
    if fault:  # raised here, where no frame holds a key
        raise Misconfigured(problem("KEY-FORMAT", place=place, reason=fault))
    return found


def _found_in(text: Secret) -> "tuple[dict[str, AESGCM], str]":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    found: dict[str, AESGCM] = {}
    for number, part in enumerate(re.split(r"[,\s]+", text.reveal().strip()), 1):
        name, colon, key = part.partition(":")
        if not colon or not _ID.match(name):
            return {}, Phrase("number {number} is not id:key", number=number)
        if name in found:
            return {}, Phrase("{name} is there twice", name=name)
        try:
            octets = base64.b64decode(key.replace("-", "+").replace("_", "/"), validate=True)
        except (ValueError, binascii.Error):
            octets = b""
        if len(octets) != _LENGTH:
            return {}, Phrase("{name} is not 32 bytes in base64", name=name)
        found[name] = AESGCM(octets)
    return found, ""


class Keyring:
    """The keys of one source as this process knows them; read once, and again when an id is unknown."""

    def __init__(self, source: KeySource) -> None:
        self.source = source
        self._keys: Mapping[str, AESGCM] | None = None

    def __repr__(self) -> str:
        return f"Keyring({self.source.place})"

    def reload(self) -> "Mapping[str, AESGCM]":
        """The keys by id, the newest first, read now. Raises Misconfigured (KEY-FORMAT, KEY-SOURCE, …)."""
        text = self.source.read()
        self._keys = parsed(text, self.source.place) if text is not None else {}
        return self._keys

    def get(self, key_id: str) -> "AESGCM":
        """The key of that id. Raises Misconfigured (KEY-UNKNOWN) once a second reading has not brought it."""
        known = self._keys if self._keys is not None else self.reload()
        found = known.get(key_id) or self.reload().get(key_id)
        if found is None:
            raise Misconfigured(problem("KEY-UNKNOWN", key=key_id, place=self.source.place))
        return found

    def newest(self, *, make: bool = False) -> str:
        """The id of the newest key; ``make`` makes the first one. Raises Misconfigured (KEY-MISSING)."""
        known = self.reload()
        if not known and make and self.source.add(new_key()[1], only_first=True):
            known = self.reload()
        if not known:
            raise Misconfigured(problem("KEY-MISSING", place=self.source.place))
        return next(iter(known))
