from collections.abc import Callable
from typing import Any

Run = Callable[..., Any]


def test_detect_finds_the_provider_by_the_domain_and_says_where_it_is_known_from(recapito: Run) -> None:
    found = recapito("providers", "detect", "Anna <anna@libero.it>", "--json").json
    assert found["id"] == "libero"
    first = found["ways"][0]["endpoints"][0]
    assert (first["host"], first["port"], first["security"]) == ("smtp.libero.it", 465, "ssl")
    assert first["source"]
    assert first["date"]


def test_list_prints_a_json_line_for_each_provider(recapito: Run) -> None:
    ids = {row["id"] for row in recapito("providers", "list", "--json").lines}
    assert {"gmail", "aruba", "libero", "microsoft365"} <= ids


def test_show_names_the_ways_in_their_order(recapito: Run) -> None:
    shown = recapito("providers", "show", "gmail").out
    assert shown.index("gmail_oauth") < shown.index("smtp_basic")


def test_plugins_list_shows_what_is_wrong_with_one(recapito: Run, monkeypatch: Any) -> None:
    monkeypatch.setenv("RECAPITO_DISABLE_PLUGINS", "ms365_oauth")
    rows = {row["name"]: row for row in recapito("plugins", "list", "--json").lines}
    assert rows["ms365_oauth"]["state"] == "off"
    assert rows["smtp_basic"]["state"] == "on"
    assert rows["smtp_basic"]["transports"] == ["smtp_basic"]
