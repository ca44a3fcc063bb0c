import pytest

from loadtests.profiling.stages import ENTRANCE, STAGES, Stage


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_is_an_existing_function(stage: Stage) -> None:
    assert callable(stage.target[2])


def test_names_are_told_apart_and_the_entrance_is_one_of_them() -> None:
    names = [stage.name for stage in STAGES]
    assert len(set(names)) == len(names)
    assert ENTRANCE in names


def test_what_waits_is_known_from_the_function() -> None:
    waits = {stage.name: stage.waits for stage in STAGES}
    assert waits["claim message"]
    assert not waits["signature"]
