"""Servers for sign-ins and API transports to talk to, and what these are given."""

import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from recapito.testing import CertificateAuthority

sys.path.insert(0, str(Path(__file__).parents[2] / "servers"))

from web_server import Registration, WebServer, serving


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture
async def web(authority: CertificateAuthority) -> AsyncIterator[WebServer]:
    async with serving(authority.server_context()) as server:
        yield server


@pytest.fixture
async def other(authority: CertificateAuthority) -> AsyncIterator[WebServer]:
    async with serving(authority.server_context()) as server:
        yield server


@pytest.fixture
def tls(authority: CertificateAuthority) -> ssl.SSLContext:
    return authority.client_context()


@pytest.fixture
def registration(authority: CertificateAuthority) -> Callable[..., Registration]:
    def make(secrets: Mapping[str, str] | None = None, **settings: Any) -> Registration:
        given = {"client_secret": "s3cret of the app"} if secrets is None else secrets
        return Registration(authority.pem, settings, given)

    return make
