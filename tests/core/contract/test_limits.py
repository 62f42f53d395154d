"""Limits are only ever lowered."""

from recapito import Limits, Rate


def test_the_stricter_of_both_holds_in_each_respect() -> None:
    provider = Limits(3, (Rate(30, 60),), 500, 1000)
    administrator = Limits(5, (Rate(10, 60),), None, 800)
    both = provider.lowered_by(administrator)
    assert both == Limits(3, (Rate(30, 60), Rate(10, 60)), 500, 800)
    assert provider.lowered_by(Limits()) == provider


def test_they_survive_being_stored() -> None:
    limits = Limits(3, (Rate(30, 60.0), Rate(10_000, 86_400.0, "recipients")), 500, 1000)
    assert Limits.from_dict(limits.to_dict()) == limits
    assert Limits.from_dict(Limits().to_dict()) == Limits()
