"""A pytest plugin for mutmut's processes: forks of one that has imported the tests and filled the caches."""

from __future__ import annotations

import functools
import gc
import sys


def pytest_configure() -> None:
    """Have test modules imported again, and cached functions called again, with the mutant."""
    for name in [name for name in sys.modules if name.startswith("tests.") and "conftest" not in name]:
        del sys.modules[name]
    for cached in [each for each in gc.get_objects() if isinstance(each, functools._lru_cache_wrapper)]:
        cached.cache_clear()
