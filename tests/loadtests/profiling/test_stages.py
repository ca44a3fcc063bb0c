import pytest

from loadtests.profiling.stages import ENTRY_STAGE, STAGES, Stage


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_is_an_existing_function(stage: Stage) -> None:
    assert callable(stage.target[2])


def test_names_are_unique_and_the_entry_stage_is_one_of_them() -> None:
    names = [stage.name for stage in STAGES]
    assert len(set(names)) == len(names)
    assert ENTRY_STAGE in names


def test_coroutines_are_detected() -> None:
    is_coroutine = {stage.name: stage.is_coroutine for stage in STAGES}
    assert is_coroutine["claim message"]
    assert not is_coroutine["signature"]
