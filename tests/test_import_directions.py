"""Imports point downward: a folder imports those that stand below it, and none above."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "app"
PACKAGE = SOURCE / "sms_router"

MAY_IMPORT: dict[str, set[str]] = {
    "sandbox": {"twilio"},
    "twilio": set(),
    "store": set(),
    "config": {"routing", "senders", "store", "twilio"},
    "senders": {"twilio"},
    "delivery": {"store", "twilio"},
    "membership": {"senders", "store", "twilio"},
    "onboarding": {"membership", "senders", "store", "twilio"},
    "checks": {"membership", "onboarding", "senders", "twilio"},
    "routing": {"delivery", "senders", "store", "twilio"},
    "web": {"config", "membership", "onboarding", "routing", "senders", "store", "twilio"},
    "server": {"config", "store", "web"},
}
MAY_IMPORT["cli"] = {*MAY_IMPORT}
MAY_IMPORT["testing"] = {*MAY_IMPORT, "application"}
"""Which other folders of the package each one may import."""

ROUTING = (
    "pipeline",
    "dispatch",
    "history",
    "upstream",
    "inbox",
    "contacts",
    "opt_outs",
    "keywords",
    "handler",
)
"""The folders of ``routing/``, top to bottom: each may import those that follow it."""

SANDBOX = ("scenarios", "control", "rest", "inbound", "sending", "webhooks", "state", "world")
"""Likewise."""

LAYERS = [
    *(("routing", ROUTING[:place], folder) for place, folder in enumerate(ROUTING)),
    *(("sandbox", SANDBOX[:place], folder) for place, folder in enumerate(SANDBOX)),
]
"""A package, the folders of it that stand above one, and that folder."""

COMPOSITION = {"application", "factory", "worker_lifespan"}
"""The modules that connect the folders. Only the command line imports one of them, to start it."""


def imports(module: Path) -> Iterator[str]:
    """Yield the dotted name of each import from the package, without the package's own name."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        package = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        names = [f"{package}{alias.name}" for alias in node.names]
        yield from (name.removeprefix("sms_router.") for name in names if name.startswith("sms_router."))


def test_every_folder_is_listed() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == MAY_IMPORT.keys()
    assert {path.parent.name for path in PACKAGE.glob("routing/*/__init__.py")} == set(ROUTING)
    assert {path.parent.name for path in PACKAGE.glob("sandbox/*/__init__.py")} == set(SANDBOX)


def test_the_architecture_page_lists_each_folder_above_those_that_it_imports() -> None:
    page = (SOURCE.parent / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)/`", page, re.MULTILINE)
    assert sorted(rows) == sorted(MAY_IMPORT)
    above = {folder: set(rows[: rows.index(folder)]) for folder in MAY_IMPORT}
    assert [folder for folder in MAY_IMPORT if (MAY_IMPORT[folder] - {folder}) & above[folder]] == []
    assert tuple(re.findall(r"^\| `routing/(\w+)`", page, re.MULTILINE)) == ROUTING
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert {name for name in modules if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_a_folder_imports_only_those_below_it(folder: str) -> None:
    modules = sorted((PACKAGE / folder).rglob("*.py"))
    assert modules
    forbidden = (MAY_IMPORT.keys() | COMPOSITION) - MAY_IMPORT[folder] - {folder}
    if folder == "cli":
        forbidden -= {"factory"}
    wrong = {
        str(module): sorted(found)
        for module in modules
        if (found := {name.split(".")[0] for name in imports(module)} & forbidden)
    }
    assert wrong == {}


@pytest.mark.parametrize(("package", "above", "folder"), LAYERS)
def test_a_folder_of_a_package_imports_only_those_below_it(
    package: str, above: tuple[str, ...], folder: str
) -> None:
    modules = sorted((PACKAGE / package / folder).rglob("*.py"))
    assert modules
    forbidden = {f"{package}.{name}" for name in above}
    wrong = {
        str(module): sorted(found)
        for module in modules
        if (found := {".".join(name.split(".")[:2]) for name in imports(module)} & forbidden)
    }
    assert wrong == {}


def test_a_team_s_handlers_import_nothing_but_the_public_names() -> None:
    modules = sorted((SOURCE / "handlers").rglob("*.py"))
    assert modules
    public = {"keyword", "step", "Reply", "Part", "InboundMessage", "Conversation"}
    assert {name for module in modules for name in imports(module)} <= public


def test_no_module_is_part_of_an_import_circle() -> None:
    modules = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")
    }
    needs = {
        name: {
            target
            for imported in at_import_time(path)
            for target in (imported, imported.rpartition(".")[0])
            if target in modules and target != name
        }
        for name, path in modules.items()
    }
    settled: set[str] = set()
    while ready := {name for name, others in needs.items() if name not in settled and others <= settled}:
        settled |= ready
    assert needs.keys() - settled == set()


def at_import_time(module: Path) -> Iterator[str]:
    """Yield the imports that run when the module is imported: not those of functions or of types alone."""
    pending: list[ast.AST] = [ast.parse(module.read_text("utf-8"))]
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sms_router."):
                base = (node.module or "").removeprefix("sms_router.")
                yield from (f"{base}.{alias.name}" for alias in node.names)
                yield base
            pending.append(node)
