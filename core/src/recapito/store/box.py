"""Sealing secrets: AES-256-GCM, bound to the record that they belong to."""

import os
from typing import TYPE_CHECKING

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from recapito.store.keys import Keyring

__all__ = ["Box", "key_id_of"]

_FORM = 1
_NONCE = 12


class Box:
    """Seals and opens the secrets of one store.

    What is kept is a form byte, the key's id (with its length), a nonce and the ciphertext. Store, owner and
    field are authenticated with it, so that a ciphertext moved to another record does not open.
    """

    def __init__(self, store_id: str, keyring: "Keyring") -> None:
        self._store_id = store_id
        self.keyring = keyring

    def seal(self, secret: Secret, key_id: str, owner: str, field: str) -> bytes:
        """``secret`` as it is kept; the same one differs each time. Raises Misconfigured (KEY-…, SECRET-TEXT)."""
        key, head, nonce = self.keyring.get(key_id), _head(key_id), os.urandom(_NONCE)
        try:
            sealed = key.encrypt(nonce, secret.reveal().encode(), self._bound(head, owner, field))
        except UnicodeEncodeError:
            sealed = None  # a lone surrogate; the error itself shows the text, so it ends here
        if sealed is None:
            raise Misconfigured(problem("SECRET-TEXT", field=field), {field: "cannot be stored"})
        return head + nonce + sealed

    def open(self, sealed: bytes, owner: str, field: str) -> Secret:
        """The secret. Raises Misconfigured: KEY-UNKNOWN, KEY-WRONG or SECRET-DAMAGED."""
        from cryptography.exceptions import InvalidTag

        key_id = key_id_of(sealed)
        size = 2 + len(key_id)
        head, nonce, rest = sealed[:size], sealed[size : size + _NONCE], sealed[size + _NONCE :]
        bound = self._bound(head, owner, field)
        for key in self._tries(key_id) if key_id else ():
            try:
                return Secret(key.decrypt(nonce, rest, bound).decode())
            except (InvalidTag, ValueError):
                continue
        raise Misconfigured(problem("SECRET-DAMAGED", field=field))

    def _tries(self, key_id: str) -> "Iterator[AESGCM]":
        yield self.keyring.get(key_id)
        # It does not fit: perhaps the source has been corrected since it was read.
        if again := self.keyring.reload().get(key_id):
            yield again

    def _bound(self, head: bytes, *names: str) -> bytes:
        parts = [head, *(name.encode() for name in (self._store_id, *names))]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def key_id_of(sealed: bytes) -> str:
    """Which key sealed it; empty where it was not sealed by us."""
    if len(sealed) < 2 + _NONCE or sealed[0] != _FORM:
        return ""
    return sealed[2 : 2 + sealed[1]].decode("ascii", errors="replace")


def _head(key_id: str) -> bytes:
    return bytes((_FORM, len(key_id))) + key_id.encode("ascii")
