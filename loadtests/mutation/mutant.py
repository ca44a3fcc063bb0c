"""One planted fault, and the list of those that change nothing."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "app/sms_router"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A line of ``module`` that was changed, in the function or at the line ``place``."""

    module: str
    place: str
    before: str
    after: str
    noticed: bool


@dataclass(frozen=True, slots=True)
class Equivalents:
    """The mutants of equivalents.toml: each behaves as the original, for the reason beside it."""

    _reasons: dict[tuple[str, str, str], str] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Equivalents:
        """Read equivalents.toml."""
        text = Path(__file__).with_name("equivalents.toml").read_text(encoding="utf-8")
        mutants = tomllib.loads(text)["mutants"]
        return cls({(each["module"], each["before"], each["after"]): each["reason"] for each in mutants})

    def __contains__(self, mutant: Mutant) -> bool:
        return (mutant.module, mutant.before, mutant.after) in self._reasons

    def stale(self) -> list[str]:
        """Return a sentence for each line that is no longer in the code."""
        return [
            f"equivalents.toml: {module} has no line {before}"
            for module, before, _ in self._reasons
            if " ".join(before.split()) not in " ".join(_path_of(module).read_text(encoding="utf-8").split())
        ]


def _path_of(module: str) -> Path:
    is_script = module.endswith(".lua")
    return PACKAGE / (f"store/scripts/{module}" if is_script else f"{module.replace('.', '/')}.py")


def copy_project(workspace: Path) -> None:
    """Copy what tests read to the empty folder ``workspace``."""
    root, ignored = Path(__file__).resolve().parents[2], shutil.ignore_patterns("out", "node_modules")
    for name in ("app", "tests", "config", "docs", "loadtests"):
        shutil.copytree(root / name, workspace / name, ignore=ignored)
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(root / name, workspace)
