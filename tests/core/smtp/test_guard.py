"""Which addresses a host that an operator typed may lead to."""

import pytest

from recapito.smtp.connect import Address, Blocked, permitted
from recapito.smtp.guard import is_loopback, is_public

HERE = ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]
INSIDE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2001:db8::1",
]
OUTSIDE = ["8.8.8.8", "93.184.216.34", "2a00:1450:4002:400::200e", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", HERE + INSIDE)
def test_addresses_of_this_machine_and_its_network_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", HERE)
def test_this_machine_is_loopback(address: str) -> None:
    assert is_loopback(address)


def test_addresses_that_are_not_public_are_left_out_of_those_tried() -> None:
    found = tuple(Address(2, (ip, 465)) for ip in ("10.0.0.1", "8.8.8.8"))
    left = permitted(found, 465, trusted=False, loopback=False)
    assert [address.ip for address in left] == ["8.8.8.8"]


@pytest.mark.parametrize("port", [22, 80, 443, 993, 5432, 8080])
def test_other_ports_than_those_of_mail_are_blocked(port: int) -> None:
    with pytest.raises(Blocked):
        permitted((Address(2, ("8.8.8.8", port)),), port, trusted=False, loopback=False)


@pytest.mark.parametrize("port", [25, 465, 587, 2525])
def test_ports_of_mail_are_open(port: int) -> None:
    assert permitted((Address(2, ("8.8.8.8", port)),), port, trusted=False, loopback=False)


def test_a_trusted_host_may_be_anywhere() -> None:
    assert permitted((Address(2, ("10.0.0.1", 8025)),), 8025, trusted=True, loopback=False)
