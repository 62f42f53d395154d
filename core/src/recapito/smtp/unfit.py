"""The characters that nothing in a dialogue with a server may hold."""

import re

__all__ = ["unfit"]

# Control characters end lines or cut texts short (RFC 4954, RFC 4616); half a surrogate pair cannot be encoded.
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")


def unfit(text: str) -> bool:
    """Whether ``text`` holds what no user name, password, host or address may."""
    return bool(_CONTROL.search(text))
