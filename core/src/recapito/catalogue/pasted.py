"""A server's reply as a person pastes it, from a log or a bounce, made into facts again."""

import re
from typing import Any

from recapito.reply import ServerReply

__all__ = ["pasted_reply"]

# "535-5.7.8 Username…", "550 5.1.1 <a@x>…", "421 try later": possibly after "said:" or "host smtp.x.it[1.2.3.4]".
_SMTP = re.compile(r"(?<![\d.])([2-5]\d\d)[ -](?:#?([245]\.\d{1,3}\.\d{1,3})\b)?")
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_HTTP = re.compile(r"\bHTTP(?:/\d(?:\.\d)?)?[ :]+(\d{3})\b", re.IGNORECASE)
_OAUTH = re.compile(
    r"AADSTS\d+|\b(invalid_grant|invalid_client|unauthorized_client|deleted_client|disabled_client|invalid_scope|"
    r"interaction_required|consent_required|access_denied|admin_policy_enforced|org_internal|"
    r"redirect_uri_mismatch|disallowed_useragent|temporarily_unavailable|server_error)\b"
)
_NET = {
    "dns": re.compile(r"name or service not known|no address associated|getaddrinfo|nxdomain", re.IGNORECASE),
    "refused": re.compile(r"connection refused|errno 111\b", re.IGNORECASE),
    "timeout": re.compile(r"timed out|timeout", re.IGNORECASE),
    "lost": re.compile(r"connection (reset|lost)|unexpectedly closed|broken pipe", re.IGNORECASE),
}
_TLS = {
    "mode": re.compile(r"wrong[_ ]version[_ ]number", re.IGNORECASE),
    "name": re.compile(r"hostname mismatch|doesn't match|certificate is not valid for", re.IGNORECASE),
    "expired": re.compile(r"certificate has expired", re.IGNORECASE),
    "untrusted": re.compile(
        r"certificate[_ ]verify[_ ]failed|self[- ]signed|unable to get local issuer", re.IGNORECASE
    ),
    "version": re.compile(r"unsupported[_ ]protocol|tlsv1[_ ]alert[_ ]protocol", re.IGNORECASE),
}
_HOST = re.compile(r"\b(?:host|server|from) ([a-z0-9-]+(?:\.[a-z0-9-]+)+)(?=[\[\s:,]|$)", re.IGNORECASE)
_RECIPIENT = re.compile(r"<([^<>\s@]+@[^<>\s@]+)>")
_FAMILIES = (
    ("gsmtp", "smtp.gmail.com"),
    ("gcdp", "smtp.gmail.com"),
    ("prod.outlook.com", "smtp.office365.com"),
)


def pasted_reply(text: str, **known: Any) -> ServerReply:
    """The reply in ``text``; ``known`` (host, step, credential, …) are fields that need no guess."""
    facts = _facts(text)
    facts |= {name: value for name, value in known.items() if value}
    facts.setdefault("step", _step(facts))
    return ServerReply(**facts, text=text)


def _facts(text: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"host": _host(text)}
    if match := _RECIPIENT.search(text):
        facts["recipient"] = match[1]
    if match := _HTTP.search(text):
        return facts | {"via": "http", "status": int(match[1])}
    if match := _OAUTH.search(text):
        return facts | {"via": "oauth", "error": match[1] or ""}
    if match := _SMTP.search(text):
        enhanced = match[2] or (found[1] if (found := _ENHANCED.search(text, match.end())) else "")
        return facts | {"via": "smtp", "status": int(match[1]), "enhanced": enhanced}
    for via, table in (("tls", _TLS), ("net", _NET)):
        for error, pattern in table.items():
            if pattern.search(text):
                return facts | {"via": via, "error": error}
    enhanced = found[1] if (found := _ENHANCED.search(text)) else ""
    return facts | {"via": "smtp", "status": int(enhanced[:1] or 0) * 100, "enhanced": enhanced}


def _host(text: str) -> str:
    if match := _HOST.search(text):
        return match[1].lower()
    return next((host for sign, host in _FAMILIES if sign in text.lower()), "")


def _step(facts: dict[str, Any]) -> str:
    """Where such a reply usually comes; the pasted text does not say."""
    enhanced = facts.get("enhanced", "")
    if facts["via"] != "smtp":
        return ""
    if facts["status"] in (530, 534, 535, 538) or enhanced in ("5.7.8", "5.7.9", "5.7.14", "5.7.139"):
        return "sign-in"
    return "recipient" if enhanced[1:].startswith((".1.", ".2.1", ".2.2")) else "message"
