import pytest

from loadtests.chaos.deployment import Requirements
from loadtests.chaos.faults import FAULTS, UnknownFaultError, select_scenarios


def test_each_fault_is_a_scenario_and_pairs_have_faults_of_two_components() -> None:
    every = select_scenarios()
    names = [scenario.name for scenario in every]
    assert len(set(names)) == len(names)
    assert names[: len(FAULTS)] == [fault.name for fault in FAULTS]
    for scenario in every[len(FAULTS) :]:
        one, other = scenario.faults
        assert one.in_pairs
        assert other.in_pairs
        assert one.component is not other.component


def test_scenarios_are_selected_by_name() -> None:
    assert [scenario.name for scenario in select_scenarios("valkey-killed")] == ["valkey-killed"]
    assert [scenario.name for scenario in select_scenarios("valkey-killed + disk-full, singles")][:2] == [
        "valkey-killed + disk-full",
        FAULTS[0].name,
    ]
    assert len(select_scenarios("singles")) == len(FAULTS)
    assert len(select_scenarios("singles,pairs")) == len(select_scenarios())


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownFaultError, match="there are valkey-killed, "):
        select_scenarios("valkey-kiled")


def test_a_pair_has_the_properties_of_both_faults() -> None:
    (pair,) = select_scenarios("valkey-frozen+handler-hangs")
    assert pair.isolates_replicas
    assert pair.texts


def test_a_pair_has_the_requirements_of_both_faults() -> None:
    (pair,) = select_scenarios("valkey-slow+clock-ahead")
    assert pair.requirements == Requirements(1, has_slow_store=True, has_adjustable_clocks=True)
    (pair,) = select_scenarios("valkey-slow+worker-killed")
    assert pair.requirements == Requirements(2, has_slow_store=True)
