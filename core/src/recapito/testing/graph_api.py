"""Microsoft Graph's mail of the stand-in: sendMail by MIME, drafts, attachments and upload sessions."""

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recapito.testing.header_recipients import arrived, recipients_of
from recapito.testing.https_asked import Asked, Said, json_said

if TYPE_CHECKING:
    from recapito.testing.bench import Arrived
    from recapito.testing.oauth_vendor import Access, OAuthVendor

__all__ = ["Attached", "Draft", "GraphApi", "graph_error"]

#: Bytes of one request (learn: Graph's limit), of an attachment in one request, of a whole message.
REQUEST = 4_194_304
DIRECT = 3_000_000
LARGEST = 150_000_000
RANGE = 4_194_304
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(slots=True)
class Attached:
    """An attachment: its content is kept up to 8 MB; ``sha256`` is that of all of it."""

    name: str
    content_type: str
    size: int
    is_inline: bool = False
    content_id: str = ""
    received: int = 0
    content: bytes = field(default=b"", repr=False)
    hash: Any = field(default_factory=hashlib.sha256, repr=False)

    def add(self, piece: bytes) -> None:
        """The next bytes of an upload."""
        self.received += len(piece)
        self.hash.update(piece)
        if len(self.content) < 8_000_000:
            self.content += piece

    @property
    def sha256(self) -> str:
        """The hash of what came, in hexadecimal digits."""
        return str(self.hash.hexdigest())


@dataclass(slots=True)
class Draft:
    """A draft: the message's JSON, and what was attached to it."""

    account: str
    message: dict[str, Any]
    attachments: list[Attached] = field(default_factory=list)


class GraphApi:
    """``messages`` is what was taken as MIME, ``sent_drafts`` what was sent as a draft.

    ``send_as`` are the pairs (account, sender) that Exchange allows.
    """

    def __init__(self, microsoft: "OAuthVendor") -> None:
        self._microsoft = microsoft
        self.messages: list[Arrived] = []
        self.drafts: dict[str, Draft] = {}
        self.sent_drafts: list[Draft] = []
        self.send_as: set[tuple[str, str]] = set()
        #: Mailboxes that an app may send from; None: all (nothing narrows it).
        self.scoped: set[str] | None = None
        self._uploads: dict[str, tuple[str, Attached]] = {}
        for method in ("POST", "DELETE"):
            microsoft.route(method, "/v1.0/*", self._asked)
        microsoft.route("PUT", "/uploads/*", self._put)

    def _asked(self, asked: Asked) -> Said:
        access = self._microsoft.bearer(asked)
        if access is None or access.audience not in ("", self._microsoft.url):
            return graph_error(
                401, "InvalidAuthenticationToken", "Access token is empty, expired or not ours."
            )
        parts = asked.path.removeprefix("/v1.0/").split("/")
        if parts[0] == "me":
            if not access.account:
                return graph_error(
                    400, "BadRequest", "/me request is only valid with delegated authentication flow."
                )
            mailbox, rest = access.account, parts[1:]
        elif parts[0] == "users" and len(parts) > 2:
            mailbox, rest = parts[1].replace("%40", "@"), parts[2:]
        else:
            return graph_error(404, "ResourceNotFound", "Resource not found for the segment.")
        if asked.size > REQUEST:
            return graph_error(413, "RequestEntityTooLarge", "The maximum request length supported is 4MB.")
        if refused := self._refused(access, mailbox):
            return refused
        return self._done(asked, access, mailbox, rest)

    def _refused(self, access: "Access", mailbox: str) -> Said | None:
        if not access.account and self.scoped is not None and mailbox not in self.scoped:
            return graph_error(
                403, "ErrorAccessDenied", "Access to OData is disabled: [RAOP] : Blocked by tenant."
            )
        own = mailbox.lower() == access.account.lower()
        if access.account and not own and (access.account, mailbox) not in self.send_as:
            return graph_error(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        return None

    def _done(self, asked: Asked, access: "Access", mailbox: str, rest: list[str]) -> Said:
        if rest == ["sendMail"]:
            return self._send_mime(asked, access, mailbox)
        if not {"Mail.ReadWrite", "Mail.ReadWrite.Shared"} & set(access.scopes) and rest[-1] != "send":
            return graph_error(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        if rest == ["messages"]:
            identity = secrets.token_urlsafe(24)
            self.drafts[identity] = Draft(access.account or mailbox, asked.json() or {})
            return json_said(201, {"id": identity, "isDraft": True}, request_id=_request_id())
        draft = self.drafts.get(rest[1]) if len(rest) > 1 and rest[0] == "messages" else None
        if draft is None:
            return graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        match asked.method, rest[2:]:
            case "DELETE", []:
                del self.drafts[rest[1]]
                return Said(204, headers={"request-id": _request_id()})
            case "POST", ["attachments"]:
                return self._attach(asked, draft)
            case "POST", ["attachments", "createUploadSession"]:
                return self._session(asked, draft)
            case "POST", ["send"]:
                return self._send_draft(rest[1], access, mailbox)
        return graph_error(404, "ResourceNotFound", "Resource not found for the segment.")

    def _send_mime(self, asked: Asked, access: "Access", mailbox: str) -> Said:
        if not asked.headers.get("content-type", "").startswith("text/plain"):
            return graph_error(400, "ErrorInvalidRequest", "This stand-in takes MIME alone.")
        try:
            content = base64.b64decode(asked.body, validate=True)
        except binascii.Error:
            return graph_error(
                400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."
            )
        if asked.size % 4:
            return graph_error(
                400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."
            )
        came = arrived(content, access.account or mailbox)
        if refused := self._sender_refused(access, mailbox, came.sender):
            return refused
        if not recipients_of(content):
            return graph_error(400, "ErrorInvalidRecipients", "At least one recipient is required.")
        self.messages.append(came)
        return Said(202, headers={"request-id": _request_id(), "client-request-id": _client_id(asked)})

    def _sender_refused(self, access: "Access", mailbox: str, sender: str) -> Said | None:
        scopes, account = set(access.scopes), access.account
        shared = bool(account) and sender.lower() != account.lower()
        if not {"Mail.Send", "Mail.Send.Shared"} & scopes or (shared and "Mail.Send.Shared" not in scopes):
            return graph_error(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        if shared and (account, sender) not in self.send_as:
            said = "The user account does not have the right to send mail on behalf of the specified sending account."
            return graph_error(403, "ErrorSendAsDenied", said)
        if not account and sender.lower() != mailbox.lower():
            return graph_error(403, "ErrorSendAsDenied", "The app may send from this mailbox alone.")
        return None

    def _attach(self, asked: Asked, draft: Draft) -> Said:
        data = asked.json() or {}
        try:
            content = base64.b64decode(data["contentBytes"], validate=True)
        except (KeyError, ValueError, TypeError):
            return graph_error(400, "ErrorInvalidRequest", "contentBytes is wanted.")
        if len(content) > DIRECT:
            return graph_error(413, "ErrorRequestBodyTooLarge", "Use an upload session above 3 MB.")
        attached = Attached(
            data.get("name", ""),
            data.get("contentType", ""),
            len(content),
            bool(data.get("isInline")),
            data.get("contentId") or "",
        )
        attached.add(content)
        draft.attachments.append(attached)
        return json_said(201, {"id": secrets.token_urlsafe(12)}, request_id=_request_id())

    def _session(self, asked: Asked, draft: Draft) -> Said:
        item = (asked.json() or {}).get("AttachmentItem") or {}
        size = item.get("size", 0)
        if item.get("attachmentType") != "file" or not item.get("name") or not 0 < size <= LARGEST:
            return graph_error(
                400, "ErrorInvalidRequest", "AttachmentItem needs attachmentType, name and size."
            )
        attached = Attached(
            item["name"],
            item.get("contentType", ""),
            size,
            bool(item.get("isInline")),
            item.get("contentId") or "",
        )
        identity = secrets.token_urlsafe(24)
        self._uploads[identity] = (identity, attached)
        draft.attachments.append(attached)
        data = {"uploadUrl": f"{self._microsoft.url}/uploads/{identity}", "nextExpectedRanges": ["0-"]}
        return json_said(201, data, request_id=_request_id())

    def _put(self, asked: Asked) -> Said:
        if "authorization" in asked.headers:
            return graph_error(401, "InvalidAuthenticationToken", "No Authorization goes to an upload URL.")
        found = self._uploads.get(asked.path.removeprefix("/uploads/"))
        where = _RANGE.fullmatch(asked.headers.get("content-range", ""))
        if found is None or where is None:
            return graph_error(404, "ErrorItemNotFound", "There is no such upload.")
        attached, (start, end, size) = found[1], (int(each) for each in where.groups())
        fits = start == attached.received and size == attached.size and end - start + 1 == asked.size
        if not fits or asked.size > RANGE:
            return graph_error(416, "ErrorInvalidRange", "Ranges come in order, and are 4 MB at most.")
        attached.add(asked.body)
        if attached.received < attached.size:
            return json_said(200, {"nextExpectedRanges": [f"{attached.received}-"]})
        del self._uploads[found[0]]
        return Said(201, headers={"Location": f"{self._microsoft.url}/v1.0/attachment"})

    def _send_draft(self, identity: str, access: "Access", mailbox: str) -> Said:
        draft = self.drafts[identity]
        sender = draft.message.get("from", {}).get("emailAddress", {}).get("address") or mailbox
        if refused := self._sender_refused(access, mailbox, sender):
            return refused
        if any(each.received != each.size for each in draft.attachments):
            return graph_error(400, "ErrorAttachmentSizeIncomplete", "An upload is not complete.")
        if not any(draft.message.get(name) for name in ("toRecipients", "ccRecipients", "bccRecipients")):
            return graph_error(400, "ErrorInvalidRecipients", "At least one recipient is required.")
        self.sent_drafts.append(self.drafts.pop(identity))
        return Said(202, headers={"request-id": _request_id()})


def graph_error(status: int, code: str, message: str) -> Said:
    """An error as Graph writes it (learn: Microsoft Graph error responses)."""
    request = _request_id()
    inner = {"date": "2026-11-25T10:00:00", "request-id": request, "client-request-id": request}
    data = {"error": {"code": code, "message": message, "innerError": inner}}
    return json_said(status, data, request_id=request)


def _request_id() -> str:
    raw = secrets.token_hex(16)
    return "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))


def _client_id(asked: Asked) -> str:
    return asked.headers.get("client-request-id", "")
