"""The entries of the catalogue: the notice's table, the other sources, and what an address needs."""

import re
from datetime import date
from typing import get_args

import pytest

from recapito.catalogue import MB, Pec, Provider, builtin, hint, source_text
from recapito.catalogue.provider import Security
from recapito.errors import NotFound
from recapito.limits import Rate

# What the ERP's notice of July 2025 gave its users, line by line.
NOTICE = [
    ("gmail", "smtp.gmail.com", 465, "ssl"),
    ("gmail", "smtp.gmail.com", 587, "starttls"),
    ("libero", "smtp.libero.it", 465, "ssl"),
    ("libero", "smtp.libero.it", 587, "starttls"),
    ("virgilio", "out.virgilio.it", 465, "ssl"),
    ("virgilio", "out.virgilio.it", 587, "starttls"),
    ("fastweb", "smtp.fastwebnet.it", 587, "starttls"),
    ("tim", "smtp.tim.it", 465, "ssl"),
    ("vodafone", "smtp.vodafone.it", 465, "ssl"),
    ("aruba", "smtp.aruba.it", 465, "ssl"),
    ("aruba", "smtp.aruba.it", 587, "starttls"),
]

# What the other sources say, and where they differ from the notice.
OTHERS = [
    ("tim", "smtp.tim.it", 587, "starttls"),
    ("vodafone", "smtpmail.vodafone.it", 465, "ssl"),
    ("aruba", "smtps.aruba.it", 465, "ssl"),
    ("alice", "out.alice.it", 587, "starttls"),
    ("tiscali", "smtp.tiscali.it", 465, "ssl"),
    ("email_it", "out.email.it", 465, "ssl"),
    ("register", "authsmtp.securemail.pro", 465, "ssl"),
    ("eolo", "mail-out.eolo.it", 465, "ssl"),
    ("yahoo", "smtp.mail.yahoo.com", 465, "ssl"),
    ("microsoft365", "smtp.office365.com", 587, "starttls"),
    ("aruba_pec", "smtps.pec.aruba.it", 465, "ssl"),
    ("poste_pec", "mail.postecert.it", 465, "ssl"),
    ("legalmail", "sendm.cert.legalmail.it", 465, "ssl"),
    ("namirial_pec", "smtps.sicurezzapostale.it", 465, "ssl"),
    ("register_pec", "smtp.pec-email.com", 465, "ssl"),
    ("tim_pec", "smtps.pectim.it", 465, "ssl"),
    ("libero_pec", "mail.postacert.it.net", 465, "ssl"),
    ("intesi_pec", "smtp.ig-trustmail.com", 465, "ssl"),
]


def served(provider: Provider, transport: str = "smtp_basic") -> list[tuple[str, int, str]]:
    way = provider.way(transport)
    return [(each.host, each.port, each.security) for each in way.endpoints] if way else []


@pytest.mark.parametrize(("name", "host", "port", "security"), NOTICE + OTHERS)
def test_each_server_of_the_sources_is_offered(name: str, host: str, port: int, security: str) -> None:
    assert (host, port, security) in served(builtin().provider(name))


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("gmail", "smtp.gmail.com"),
        ("aruba", "smtps.aruba.it"),
        ("vodafone", "smtp.vodafone.it"),
        ("libero", "smtp.libero.it"),
    ],
)
def test_the_better_source_comes_first(name: str, first: str) -> None:
    assert served(builtin().provider(name))[0][0] == first


def test_what_only_the_notice_or_a_repository_says_is_marked_weak() -> None:
    weak = {
        (provider.id, each.host, each.port)
        for provider in builtin().providers
        for way in provider.ways
        for each in way.endpoints
        if each.weak
    }
    assert {("vodafone", "smtp.vodafone.it", 465), ("vodafone", "smtpmail.vodafone.it", 465)} <= weak
    assert {("tim", "smtp.tim.it", 465), ("aruba", "smtp.aruba.it", 465)} <= weak
    assert {("gmail", "smtp.gmail.com", 465), ("aruba", "smtps.aruba.it", 465)}.isdisjoint(weak)


def test_every_server_says_where_it_is_known_from_and_since_when() -> None:
    for provider in builtin().providers:
        for way in provider.ways:
            for each in way.endpoints:
                assert each.source, provider.id
                assert date(2024, 1, 1) < each.date <= date(2026, 12, 31), provider.id
                assert each.security in get_args(Security), provider.id
                assert (each.port, each.security) in {(465, "ssl"), (587, "starttls")}, provider.id


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("a@gmail.com", "gmail"),
        ("a@googlemail.com", "gmail"),
        *(
            (f"a@{domain}", "libero")
            for domain in ("libero.it", "iol.it", "blu.it", "inwind.it", "giallo.it")
        ),
        ("a@virgilio.it", "virgilio"),
        ("a@fastwebnet.it", "fastweb"),
        ("a@tim.it", "tim"),
        ("a@alice.it", "alice"),
        ("a@vodafone.it", "vodafone"),
        ("a@tiscali.it", "tiscali"),
        ("a@email.it", "email_it"),
        ("a@eolo.it", "eolo"),
        ("a@yahoo.it", "yahoo"),
        ("a@Hotmail.it", "outlook"),
        ("a@live.com", "outlook"),
        ("a@azienda.onmicrosoft.com", "microsoft365"),
        *(
            (f"a@{name}", "aruba_pec")
            for name in ("pec.it", "arubapec.it", "mypec.eu", "gigapec.it", "ingpec.eu")
        ),
        ("a@postecert.it", "poste_pec"),
        ("a@legalmail.it", "legalmail"),
    ],
)
def test_an_address_of_a_known_domain_finds_its_provider(address: str, name: str) -> None:
    found = builtin().for_mailbox(address)
    assert found is not None
    assert found.id == name


@pytest.mark.parametrize(
    "domain", ["example.it", "gmail.com.example", "notgmail.com", "onmicrosoft.com", "it", ""]
)
def test_another_domain_finds_none(domain: str) -> None:
    assert builtin().for_domain(domain) is None


def test_a_server_finds_its_provider() -> None:
    for name, host, _, _ in NOTICE + OTHERS:
        found = builtin().for_host(host.upper() + ".")
        assert found is not None
        assert found.id == name
    assert builtin().for_host("mail.example.it") is None


def test_the_server_decides_for_a_mailbox_of_an_own_domain() -> None:
    found = builtin().for_mailbox("anna@azienda.example", "smtps.aruba.it")
    assert found is not None
    assert found.id == "aruba"
    assert builtin().for_mailbox("anna@gmail.com", "mail.example.it") is None


def test_gmail_signs_in_with_google_first_and_takes_an_app_password_second() -> None:
    ways = builtin().provider("gmail").ways
    assert [way.transport for way in ways] == ["gmail_oauth", "smtp_basic", "gmail_oauth"]
    assert (ways[0].credential, ways[1].note) == ("token", "app-password")
    # The same transport, told that what was typed is an app password.
    assert (ways[2].credential, dict(ways[2].settings)) == ("password", {"sign_in": "app-password"})


def test_no_domain_and_no_server_belongs_to_two_entries() -> None:
    for names in ("domains", "hosts"):
        claimed = [each for provider in builtin().providers for each in getattr(provider, names)]
        assert len(claimed) == len(set(claimed))


@pytest.mark.parametrize("name", ["mediasoft", "gustaweb", "tin"])
def test_where_no_source_is_found_the_entry_says_that_one_must_ask(name: str) -> None:
    provider = builtin().provider(name)
    assert provider.ways == ()
    assert "ask the provider" in hint(provider.hints[0], "en")
    assert "chiedi al gestore" in hint(provider.hints[0], "it")


def test_outlook_com_takes_no_passwords_and_names_the_way_that_works() -> None:
    outlook = builtin().provider("outlook")
    assert not outlook.takes_passwords
    assert outlook.way("smtp_basic") is None
    assert [way.transport for way in outlook.ways] == ["ms365_oauth"]


def test_microsoft_365_takes_passwords_until_the_switch_off() -> None:
    microsoft = builtin().provider("microsoft365")
    assert microsoft.passwords_until == date(2026, 12, 31)
    assert microsoft.takes_passwords_on(date(2026, 12, 31))
    assert not microsoft.takes_passwords_on(date(2027, 1, 1))
    assert microsoft.ways[0].transport == "ms365_oauth"


def test_limits_are_those_that_the_providers_state() -> None:
    microsoft = builtin().provider("microsoft365").limits
    assert microsoft.concurrency == 3
    assert microsoft.rates == (Rate(30, 60), Rate(10_000, 86_400, "recipients"))
    assert microsoft.recipients_per_message == 500
    assert builtin().provider("aruba").limits.rates == (Rate(200, 1200),)


def test_gmail_allows_workspace_more_than_a_private_account() -> None:
    gmail = builtin().provider("gmail")
    assert gmail.limits_for("anna@gmail.com").rates == (Rate(500, 86_400),)
    assert gmail.limits_for("anna@azienda.example").rates == (
        Rate(2000, 86_400),
        Rate(10_000, 86_400, "recipients"),
    )
    assert gmail.limits_for("anna@gmail.com").recipients_per_message == 100
    assert builtin().provider("aruba").limits_for("a@x.it") == builtin().provider("aruba").limits


def test_pec_hosts_are_marked_and_only_they() -> None:
    marked = {provider.id for provider in builtin().providers if provider.kind == "pec"}
    named = {name for name, *_ in OTHERS if name.endswith("_pec")} | {"legalmail"}
    assert marked == named
    for provider in builtin().providers:
        assert (provider.pec is not None) is (provider.kind == "pec")
        assert provider.pec is None or not provider.pec.repeat_unknown


def test_pec_refuses_hidden_recipients() -> None:
    refused = Pec().refusal(size=1000, recipients=1, bcc=True)
    assert refused is not None
    assert refused.code == "PEC-BCC"
    assert Pec().refusal(size=1000, recipients=1, bcc=False) is None


@pytest.mark.parametrize(
    ("name", "size", "recipients", "fits"),
    [
        ("aruba_pec", 100 * MB, 1, True),
        ("aruba_pec", 50 * MB, 2, True),
        ("aruba_pec", 50 * MB + 1, 2, False),
        ("poste_pec", 30 * MB, 1, True),
        ("poste_pec", 15 * MB, 3, False),
    ],
)
def test_pec_counts_size_for_every_recipient(name: str, size: int, recipients: int, fits: bool) -> None:
    pec = builtin().provider(name).pec
    assert pec is not None
    refused = pec.refusal(size=size, recipients=recipients, bcc=False)
    assert (refused is None) is fits
    if refused:
        assert f"{recipients} " in refused.explain("it").what
        assert f"{pec.size_times_recipients // MB} MB" in refused.explain("it").what


def test_only_arubas_pec_limit_is_known_the_others_have_the_laws_guarantee() -> None:
    known = {each.id for each in builtin().providers if each.pec and not each.pec.assumed}
    assert known == {"aruba_pec"}


def test_legalmail_wants_its_own_user_name() -> None:
    assert builtin().provider("legalmail").username_hint == "id"
    assert builtin().provider("aruba_pec").username_hint == "address"


@pytest.mark.parametrize("language", ["en", "it"])
def test_every_hint_has_a_text(language: str) -> None:
    names = {name for each in builtin().providers for name in (*each.hints, *(way.note for way in each.ways))}
    assert [name for name in names - {""} if hint(name, language) == name] == []


def test_an_unknown_provider_is_named() -> None:
    with pytest.raises(NotFound, match=r"PROVIDER-UNKNOWN.*nowhere"):
        builtin().provider("nowhere")


def test_where_a_server_is_known_from_is_said_in_italian_too() -> None:
    ways = [way for provider in builtin().providers for way in provider.ways]
    sources = {endpoint.source for way in ways for endpoint in way.endpoints}
    sources |= {source for provider in builtin().providers for source in provider.sources}
    in_words = {source for source in sources if not re.match(r"[\w.]+\.(it|com)(?!:)", source)}
    assert {source for source in in_words if source_text(source, "it") == source} == set()
    assert source_text("guide.pec.it; ISPDB", "it") == "guide.pec.it; ISPDB"
    assert source_text("EOLO's own guide", "en") == "EOLO's own guide"
