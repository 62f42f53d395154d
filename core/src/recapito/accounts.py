"""Whether two spellings are one account: what was granted is compared with what was expected."""

import unicodedata

__all__ = ["same_account"]

#: "Dots don't matter in Gmail addresses" (support.google.com/mail/answer/7436150); googlemail.com is its other name.
_DOTLESS = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}


def same_account(one: str, other: str) -> bool:
    """Whether both mean the same account: case, Unicode forms and, at Gmail, dots before the @ aside."""
    return _folded(one) == _folded(other)


def _folded(account: str) -> tuple[str, str]:
    local, _, domain = unicodedata.normalize("NFC", account.strip()).casefold().rpartition("@")
    if domain in _DOTLESS:
        return local.replace(".", ""), _DOTLESS[domain]
    return local, _ascii(domain)


def _ascii(domain: str) -> str:
    """A-labels, as vendors spell a domain with accents; what is no domain stays as it is."""
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain
