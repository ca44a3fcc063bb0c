"""Mutants of the pure core, made and run by mutmut."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loadtests.mutation.mutant import Mutant, copy_project

# A test that counts calls would count mutmut's too.
_CONFIG = """
[tool.pytest.ini_options]
asyncio_mode = "auto"
addopts = [
  "-q", "-m", "not slow", "-k", "not cost", "-p", "loadtests.mutation.fresh_tests",
  "-p", "no:schemathesis", "-p", "no:cacheprovider", "-p", "no:randomly",
]
markers = ["slow"]

[tool.mutmut]
source_paths = ["src"]
only_mutate = {modules}
do_not_mutate_patterns = {ignored}
pytest_add_cli_args_test_selection = ["{tests}"]
also_copy = ["config", "docs", "README.md", "loadtests"]
timeout_multiplier = 4
timeout_constant = 2
"""

IGNORED_LINES = [r"_?log(ger)?\.\w+\(", r"raise \w+\(", r"^\s*f?\"[^\"]* [^\"]* [^\"]*\"[,)]*$"]
"""Sentences: that each is right is read, not tested."""


@dataclass(frozen=True, slots=True)
class PythonArea:
    """Modules of one folder of the package, and the folder of their tests."""

    folder: str
    modules: tuple[str, ...] = ("*",)

    def run(self, workspace: Path, chooser: random.Random, count: int) -> list[Mutant]:
        """Make all mutants in ``workspace``, run the tests against ``count`` of them.

        Raises:
            RuntimeError: mutmut failed; its output is the message.
        """
        copy_project(workspace)
        # mutmut supports no other source root.
        (workspace / "app").rename(workspace / "src")
        modules = [f"src/sms_router/{self.folder}/{module}.py" for module in self.modules]
        config = _CONFIG.format(
            modules=json.dumps(modules), ignored=json.dumps(IGNORED_LINES), tests=f"tests/{self.folder}"
        )
        (workspace / "pyproject.toml").write_text(config, encoding="utf-8")
        # Makes the mutants, finds which tests call which function, and ends: there is no such mutant.
        with suppress(NoSuchMutantError):
            _mutmut(workspace, "run", "none")
        names = sorted(_results(workspace))
        chosen = chooser.sample(names, min(count, len(names)))
        _mutmut(workspace, "run", "--max-children", "2", *chosen)
        results = _results(workspace)
        return [self._mutant(workspace, name, results[name]) for name in chosen]

    def _mutant(self, workspace: Path, name: str, status: str) -> Mutant:
        module, _, function = name.rpartition(".")
        is_noticed = status not in UNNOTICED
        # A second for each, so only of those that are listed.
        diff = "" if is_noticed else _mutmut(workspace, "show", name)
        before, after = (
            " ".join(
                line[1:].strip() for line in diff.splitlines() if re.match(rf"\{sign}(?!\{sign}{{2}})", line)
            )
            for sign in "-+"
        )
        place = re.sub(r"^x_?(.*)__mutmut_\d+$", r"\1", function).replace("ǁ", ".").strip(".")
        return Mutant(module.removeprefix("sms_router."), place, before, after, is_noticed)


class NoSuchMutantError(Exception):
    """No mutant has one of the names."""


UNNOTICED = {"survived", "no tests"}

AREAS = {
    area.folder: area
    for area in (
        PythonArea("senders"),
        PythonArea(
            "twilio",
            (
                "form",
                "inbound",
                "phone_numbers",
                "public_url",
                "segments",
                "sids",
                "signature",
                "splitting",
                "status",
                "twiml",
                "webhook_url",
            ),
        ),
        PythonArea("routing/keywords", ("index", "normalize", "patterns", "rule_table", "rules", "schedule")),
        PythonArea("routing/opt_outs", ("keywords", "keywords_file", "opt_out_times", "recognizer")),
        PythonArea("onboarding", ("checklist", "documents", "process_choice", "progress", "steps")),
    )
}


def _mutmut(workspace: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "400"}
    command = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()", *arguments]
    done = subprocess.run(
        command, cwd=workspace, env=environment, check=False, capture_output=True, text=True, errors="replace"
    )
    if "but nothing matches" in done.stderr:
        raise NoSuchMutantError
    if done.returncode:
        output = re.sub(
            r".+ (?:Generating mutants|Running stats|Listing all tests) *", "", done.stdout + done.stderr
        )
        raise RuntimeError(f"mutmut {arguments[0]} failed:\n{output[-5000:]}")
    return done.stdout


def _results(workspace: Path) -> dict[str, str]:
    """State of each mutant: "killed", "survived", "timeout", "no tests", "not checked"."""
    lines = _mutmut(workspace, "results", "--all", "true").splitlines()
    return {
        name.strip(): status.strip() for name, _, status in (line.partition(":") for line in lines) if status
    }
