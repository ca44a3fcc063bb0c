"""What is cached from requests is bounded: no cache of the program can grow for ever."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parents[1] / "app" / "sms_router"


def unbounded(source: str) -> Iterator[int]:
    """Yield the lines of caches without a bound on their entries."""
    tree = ast.parse(source)
    constants = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("lru_cache"):
            sizes = [keyword.value for keyword in node.keywords if keyword.arg == "maxsize"] + node.args[:1]
            size = sizes[0] if sizes else None
            size = constants.get(size.id) if isinstance(size, ast.Name) else size
            if not (isinstance(size, ast.Constant) and isinstance(size.value, int)):
                yield node.lineno
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = {ast.unparse(each) for each in node.decorator_list}
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if "lru_cache" in names or (names & {"cache", "functools.cache"} and taken):
                yield node.lineno


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("@lru_cache(maxsize=10)\ndef f(a): ...", False),
        ("f = lru_cache(10)(g)", False),
        ("MAX_CACHED = 10\nf = lru_cache(MAX_CACHED)(g)", False),
        ("MAX_CACHED = None\nf = lru_cache(MAX_CACHED)(g)", True),
        ("f = lru_cache(unknown)(g)", True),
        ("@cache\ndef f(): ...", False),
        ("@cache\ndef f(a): ...", True),
        ("@functools.lru_cache(maxsize=None)\ndef f(a): ...", True),
        ("@lru_cache\ndef f(a): ...", True),
    ],
)
def test_an_unbounded_cache_is_found(source: str, found: bool) -> None:
    assert bool([*unbounded(source)]) is found


def test_every_cache_is_bounded() -> None:
    files = sorted(APP.rglob("*.py"))
    assert files
    assert {str(file): lines for file in files if (lines := [*unbounded(file.read_text())])} == {}
