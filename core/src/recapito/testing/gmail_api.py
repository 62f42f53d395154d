"""The Gmail API of the stand-in for Google: sending by upload and by JSON, and what it refuses."""

import base64
import secrets
from typing import TYPE_CHECKING

from recapito.testing.header_recipients import arrived, recipients_of
from recapito.testing.https_asked import Asked, Said, json_said

if TYPE_CHECKING:
    from recapito.testing.bench import Arrived
    from recapito.testing.oauth_vendor import OAuthVendor

__all__ = ["GmailApi", "api_error"]

#: Bytes of one upload (the API's discovery document, messages.send.mediaUpload.maxSize).
MAXIMUM = 36_700_160
#: Recipients of one message (support.google.com/a/answer/166852).
RECIPIENTS = 100
#: What allows messages.send (the same document).
_SENDS = {
    "https://mail.google.com/",
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.compose",
    "https://www.googleapis.com/auth/gmail.send",
}


class GmailApi:
    """``messages`` is what was taken; ``aliases`` are addresses besides its own that an account may send as."""

    def __init__(self, google: "OAuthVendor") -> None:
        self._google = google
        self.messages: list[Arrived] = []
        self.aliases: set[str] = set()
        #: Bytes that are taken at most.
        self.maximum = MAXIMUM
        google.route("POST", "/upload/gmail/v1/users/*", self._upload)
        google.route("POST", "/gmail/v1/users/*", self._json)

    def _upload(self, asked: Asked) -> Said:
        if not asked.path.endswith("/messages/send") or asked.query.get("uploadType") != "media":
            return api_error(404, "notFound", "Not Found")
        if asked.headers.get("content-type", "").partition(";")[0] != "message/rfc822":
            return api_error(400, "badContent", "Media type is not supported. Valid media types: [message/*]")
        return self._sent(asked, asked.body, asked.size)

    def _json(self, asked: Asked) -> Said:
        if not asked.path.endswith("/messages/send"):
            return api_error(404, "notFound", "Not Found")
        try:
            raw = base64.urlsafe_b64decode(str((asked.json() or {})["raw"]))
        except (ValueError, KeyError):
            return api_error(400, "invalidArgument", "'raw' RFC822 payload message string is required")
        return self._sent(asked, raw, len(raw))

    def _sent(self, asked: Asked, content: bytes, size: int) -> Said:
        access = self._google.bearer(asked)
        if access is None:
            return api_error(
                401,
                "authError",
                "Request had invalid authentication credentials. Expected OAuth 2 access token.",
                "UNAUTHENTICATED",
            )
        if not _SENDS & set(access.scopes):
            return api_error(
                403,
                "insufficientPermissions",
                "Request had insufficient authentication scopes.",
                "PERMISSION_DENIED",
            )
        user = asked.path.split("/users/")[1].split("/")[0]
        if user not in ("me", access.account):
            return api_error(403, "forbidden", f"Delegation denied for {access.account}", "PERMISSION_DENIED")
        if size > self.maximum:
            return api_error(
                413, "uploadTooLarge", f"Request is too large. The maximum is {self.maximum} bytes."
            )
        recipients = recipients_of(content)
        if not recipients:
            return api_error(400, "invalidArgument", "Recipient address required", "INVALID_ARGUMENT")
        if len(recipients) > RECIPIENTS:
            return api_error(400, "invalidArgument", "Too many recipients", "INVALID_ARGUMENT")
        self.messages.append(arrived(content, access.account))
        identity = secrets.token_hex(8)
        return json_said(200, {"id": identity, "threadId": identity, "labelIds": ["SENT"]})


def api_error(status: int, reason: str, message: str, name: str = "") -> Said:
    """An error as the Gmail API writes it (developers.google.com/workspace/gmail/api/guides/handle-errors)."""
    each = {"message": message, "domain": "global", "reason": reason}
    error = {"code": status, "message": message, "errors": [each]}
    return json_said(status, {"error": error | ({"status": name} if name else {})})
