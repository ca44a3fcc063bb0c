"""Mutants of the Lua scripts: comparisons turned, `and` for `or`, numbers plus one, `not` left out."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from loadtests.mutation.mutant import Mutant, copy_project

SCRIPTS = Path("app/sms_router/store/scripts")
TESTS = (
    "tests/store",
    "tests/delivery",
    "tests/routing",
    "tests/senders",
    "tests/membership",
    "tests/onboarding",
)
TIME_LIMIT = 120
"""Seconds for the tests of one mutant; one that hangs is noticed."""

_TOKEN = re.compile(
    r"""--[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[<>~=]=|[<>]|\b(?:and|or)\b|\bnot\s|(?<![\w.])\d+\b"""
)
_TURNED = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "~=", "~=": "==", "and": "or", "or": "and",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LuaArea:
    """Every script with the files that it includes."""

    def run(self, workspace: Path, chooser: random.Random, count: int) -> list[Mutant]:
        """Copy the tree to ``workspace``; ``count`` times, run the tests that call a script with a fault.

        Raises:
            RuntimeError: a test fails without any fault; pytest's output is the message.
        """
        copy_project(workspace)
        usage = workspace / "usage.json"
        done = _pytest(workspace, "-p", "loadtests.mutation.script_usage", *TESTS, usage=usage)
        if done.returncode:
            raise RuntimeError(f"the tests fail without a mutant:\n{done.stdout[-3000:]}")
        tests: dict[str, list[str]] = json.loads(usage.read_text(encoding="utf-8"))
        places = [
            (path, match)
            for path in sorted((workspace / SCRIPTS).rglob("*.lua"))
            for match in _TOKEN.finditer(path.read_text(encoding="utf-8"))
            if _mutate(match[0])
        ]
        chosen = chooser.sample(places, min(count, len(places)))
        return [_plant(workspace, path, match, tests) for path, match in chosen]


AREAS = {"scripts": LuaArea()}


def _mutate(token: str) -> str | None:
    """Return what stands in a mutant in place of a token, None where nothing does."""
    if token.isdigit():
        return str(int(token) + 1)
    return "(true) and " if token.startswith("not") else _TURNED.get(token)


def _plant(workspace: Path, path: Path, match: re.Match[str], tests: dict[str, list[str]]) -> Mutant:
    original, line = match.string, match.string.count("\n", 0, match.start())
    mutated = f"{original[: match.start()]}{_mutate(match[0])}{original[match.end() :]}"
    path.write_text(mutated, encoding="utf-8")
    try:
        names = _scripts_with(path)
        calling = dict.fromkeys(test for name in names for test in tests.get(name, ()))
        noticed = bool(calling) and _pytest(workspace, "-x", *calling).returncode != 0
    except subprocess.TimeoutExpired:
        noticed = True
    finally:
        path.write_text(original, encoding="utf-8")
    before, after = (text.splitlines()[line].strip() for text in (original, mutated))
    return Mutant(
        path.relative_to(workspace / SCRIPTS).as_posix(), f"line {line + 1}", before, after, noticed
    )


def _scripts_with(path: Path) -> list[str]:
    """Return the names of the scripts that consist of the file or include it, also through another."""
    if path.parent.name != "include":
        return [path.stem]
    mention = f'@include "{path.stem}"'
    including = [
        file for file in path.parents[1].rglob("*.lua") if mention in file.read_text(encoding="utf-8")
    ]
    return [name for file in including for name in _scripts_with(file)]


def _pytest(workspace: Path, *arguments: str, usage: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(workspace / "app"), "PYTHONDONTWRITEBYTECODE": "1"}
    if usage:
        environment["SCRIPT_USAGE"] = str(usage)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command,
        cwd=workspace,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=None if usage else TIME_LIMIT,
    )
