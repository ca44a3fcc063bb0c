import pytest

from loadtests.chaos.faults import FAULTS, UnknownFaultError, scenarios


def test_every_fault_is_played_alone_and_the_paired_ones_with_those_of_other_victims() -> None:
    every = scenarios()
    names = [scenario.name for scenario in every]
    assert len(set(names)) == len(names)
    assert names[: len(FAULTS)] == [fault.name for fault in FAULTS]
    for scenario in every[len(FAULTS) :]:
        one, other = scenario.faults
        assert one.paired
        assert other.paired
        assert one.victim is not other.victim


def test_scenarios_are_chosen_by_name() -> None:
    assert [each.name for each in scenarios("valkey-killed")] == ["valkey-killed"]
    assert [each.name for each in scenarios("valkey-killed + disk-full, singles")][:2] == [
        "valkey-killed + disk-full",
        FAULTS[0].name,
    ]
    assert len(scenarios("singles")) == len(FAULTS)
    assert len(scenarios("singles,pairs")) == len(scenarios())


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownFaultError, match="there are valkey-killed, "):
        scenarios("valkey-kiled")


def test_a_pair_has_what_either_of_its_faults_has() -> None:
    (pair,) = scenarios("valkey-frozen+handler-hangs")
    assert pair.blinds
    assert pair.texts


def test_a_pair_needs_what_both_of_its_faults_need() -> None:
    (pair,) = scenarios("valkey-slow+clock-ahead")
    assert (pair.needs.slow, pair.needs.turned, pair.needs.workers) == (True, True, 1)
    (pair,) = scenarios("valkey-slow+worker-killed")
    assert (pair.needs.slow, pair.needs.turned, pair.needs.workers) == (True, False, 2)
