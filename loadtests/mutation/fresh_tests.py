"""A pytest plugin for mutmut's processes: forks of one that has imported the tests and filled the caches."""

from __future__ import annotations

import functools
import gc
import sys

from hypothesis import Phase, settings


def pytest_configure() -> None:
    """Have test modules imported again, and cached functions called again, with the mutant.

    Hypothesis tries the same examples in each run, and does not look for a smaller one.
    """
    settings.register_profile(
        "mutants", settings(), database=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("mutants")
    for name in [name for name in sys.modules if name.startswith("tests.") and "conftest" not in name]:
        del sys.modules[name]
    for cached in [each for each in gc.get_objects() if isinstance(each, functools._lru_cache_wrapper)]:
        cached.cache_clear()
