"""The HTTPS server of the kit counts, keeps, and fails as it is told."""

import http.client
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recapito.testing import HttpsServer
from recapito.testing.https_asked import json_said

sys.path.insert(0, str(Path(__file__).parent))

from web import ask


@pytest.fixture
def server() -> Iterator[HttpsServer]:
    with HttpsServer() as running:
        running.route("POST", "/echo", lambda asked: json_said(200, {"size": asked.size}))
        yield running


def test_what_came_is_kept_and_counted(server: HttpsServer) -> None:
    assert ask(server, "POST", "/echo", b"four", X_Name="v").json == {"size": 4}
    asked = server.requests[0]
    assert (asked.method, asked.path, asked.body, asked.headers["x-name"]) == ("POST", "/echo", b"four", "v")
    assert (server.connections, len(server.requests)) == (1, 1)


def test_of_a_large_body_size_and_hash_are_kept(server: HttpsServer) -> None:
    server.keep = 1000
    assert ask(server, "POST", "/echo", b"a" * 3_000_000).json == {"size": 3_000_000}
    asked = server.requests[0]
    assert (asked.size, len(asked.body), len(asked.sha256)) == (3_000_000, 1000, 64)


def test_an_unknown_path_is_not_found(server: HttpsServer) -> None:
    assert ask(server, "GET", "/other").status == 404


def test_a_fault_holds_as_often_as_it_was_asked_for(server: HttpsServer) -> None:
    server.fail("/echo", status=503, body="<html>", headers={"Retry-After": "7"}, times=2)
    found = [ask(server, "POST", "/echo") for _ in range(3)]
    assert [each.status for each in found] == [503, 503, 200]
    assert found[0].headers["Retry-After"] == "7"


@pytest.mark.parametrize("how", ["lost", "cut", "unread"])
def test_a_line_ends_where_it_was_told_to(server: HttpsServer, how: str) -> None:
    server.fail("/echo", how=how, body={"size": 0})  # type: ignore[arg-type]
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(server, "POST", "/echo", b"x" * 100_000)
    assert ask(server, "POST", "/echo").status == 200


def test_faults_can_be_taken_back(server: HttpsServer) -> None:
    server.fail("/echo", times=None)
    server.behave()
    assert ask(server, "POST", "/echo").status == 200
