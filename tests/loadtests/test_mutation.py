"""The mutants of `make mutate` are of lines and modules that exist."""

from __future__ import annotations

from loadtests.mutation.mutant import PACKAGE, Equivalents
from loadtests.mutation.python import AREAS


def test_each_equivalent_mutant_is_of_a_line_in_the_code() -> None:
    assert Equivalents.load().stale() == []


def test_each_area_has_modules() -> None:
    modules = {
        (folder, name): list((PACKAGE / folder).glob(f"{name}.py"))
        for folder, area in AREAS.items()
        for name in area.modules
    }
    assert modules
    assert [place for place, found in modules.items() if not found] == []
