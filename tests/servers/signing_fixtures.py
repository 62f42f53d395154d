"""Two companies and their operators at a vendor on paper, and mailers that sign them in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from paper_vendor import PaperTransport, Vendor, paper_hooks

from recapito import Mailer, Message, Profile, Store
from recapito.clients import Clients
from recapito.hookspecs import Change, Subject
from recapito.permits import Permits
from recapito.plugins import Plugins
from recapito.problem import Problem


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _limits_of_its_own() -> None:
    Permits.forget()


@dataclass
class Told:
    """What the hooks heard."""

    changes: list[tuple[str, Change]] = field(default_factory=list)
    attention: list[tuple[Subject, Problem]] = field(default_factory=list)

    @property
    def actions(self) -> list[str]:
        return [f"{operator} {change.action}" for operator, change in self.changes]

    @property
    def asked_for(self) -> list[str]:
        return [f"{subject.kind} {subject.name} {problem.code}" for subject, problem in self.attention]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def paper() -> PaperTransport:
    return PaperTransport()


@pytest.fixture
def hooks(vendor: Vendor, paper: PaperTransport, told: Told) -> Any:
    return paper_hooks(
        vendor,
        paper,
        record_change=lambda profile, change: told.changes.append((profile.key.operator, change)),
        request_attention=lambda subject, problem: told.attention.append((subject, problem)),
    )


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    monkeypatch.delenv("RECAPITO_DATABASE", raising=False)
    monkeypatch.delenv("RECAPITO_KEYS", raising=False)
    return f"sqlite:///{tmp_path / 'recapito.db'}"


@pytest.fixture
def plugins(hooks: Any) -> Plugins:
    return Plugins.load(hooks=[hooks])


@pytest.fixture
def store(url: str, plugins: Plugins) -> Iterator[Store]:
    """Anna and Bruno of one company, Anna of another, each with a client of the company's own."""
    with Store.create(url) as made:
        for company in ("", "altra"):
            Clients(made, plugins).save(
                company, "paper", {"client_id": f"id-{company}"}, {"client_secret": "s3greto"}, by="admin"
            )
        for company, operator in (("", "anna"), ("", "bruno"), ("altra", "anna")):
            profile = Profile.of(
                operator, company=company, sender=f"{operator}@example.it", transport="paper"
            )
            made.save(profile, {}, by="admin", action="created", fields=())
        yield made


@pytest.fixture
def mailer(store: Store, hooks: Any) -> Iterator[Mailer]:
    with Mailer(store, hooks=[hooks]) as made:
        yield made


@pytest.fixture
def elsewhere(store: Store, url: str, hooks: Any) -> Iterator[Mailer]:
    """The same store and vendor, as another process has them."""
    with Store.open(url) as opened, Mailer(opened, hooks=[hooks]) as made:
        yield made


@pytest.fixture
def message() -> Message:
    return Message(to=["cliente@example.com"], subject="Fattura 12", text="In allegato.")


@pytest.fixture
def sign_in(mailer: Mailer) -> Callable[..., Any]:
    """Sign an operator in, as a browser does it."""

    def sign_in(operator: str = "anna", **begin: Any) -> Any:
        begun = mailer.begin_sign_in(operator, redirect_uri="https://erp.example/ritorno", **begin)
        company = begin.get("company", "")
        query = {"state": begun.state, "code": "c0dice"} if begun.kind == "code" else {"state": begun.state}
        return mailer.finish_sign_in(operator, query, company=company, session=begin.get("session", ""))

    return sign_in
