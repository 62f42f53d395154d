"""Plain requests to a stand-in, by the standard library alone."""

import base64
import hashlib
import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from recapito.testing import HttpsServer

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(server: HttpsServer, method: str, url: str, body: bytes = b"", **headers: str) -> Got:
    place = urlsplit(url if url.startswith("https:") else server.url + url)
    context = server.authority.client_context()
    line = http.client.HTTPSConnection(place.hostname or "", place.port, context=context, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        line.request(method, f"{place.path}?{place.query}" if place.query else place.path, body, named)
        answer = line.getresponse()
        return Got(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        line.close()


def form(server: HttpsServer, url: str, **fields: str) -> Got:
    return ask(
        server,
        "POST",
        url,
        urlencode(fields).encode(),
        Content_Type="application/x-www-form-urlencoded",
    )
