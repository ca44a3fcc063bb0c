"""What the pages name exists: links, settings, variables, commands and their options."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from sms_router.cli import COMMANDS, load_command
from sms_router.config.environment import VARIABLES
from sms_router.config.models import RouterConfig
from tests.documentation.pages import (
    PAGES,
    REPOSITORY,
    anchors,
    code_blocks,
    inline_code,
    links,
    page_name,
    without_blocks,
)

SETTINGS = REPOSITORY / "docs" / "settings.md"
COMMAND_PAGE = REPOSITORY / "docs" / "commands.md"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_each_link_has_a_target(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page_name(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page_name(page)}: {link}"


def test_the_readme_links_to_every_page() -> None:
    linked = {(REPOSITORY / link.partition("#")[0]).resolve() for link in links(REPOSITORY / "README.md")}
    assert {page for page in PAGES if page.is_relative_to(REPOSITORY / "docs")} <= linked


def tables() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the name and the model of each table of router.toml."""
    for name, field in RouterConfig.model_fields.items():
        (model,) = [
            annotation
            for annotation in (field.annotation, *getattr(field.annotation, "__args__", ()))
            if _is_table(annotation)
        ]
        yield name, model


def _is_table(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


@pytest.mark.parametrize(("table", "model"), list(tables()), ids=[name for name, _ in tables()])
def test_each_key_of_router_toml_is_documented(table: str, model: type[BaseModel]) -> None:
    page = SETTINGS.read_text("utf-8")
    assert f"[{table}]" in page
    documented = {each.rpartition(".")[2] for each in inline_code(SETTINGS)} | set(
        re.findall(r"^(\w+) =", page, re.M)
    )
    documented |= set(re.findall(r"^\[\[accounts\.(\w+)\]\]", page, re.M))
    assert set(model.model_fields) <= documented


@pytest.mark.parametrize("table", ["router", "conversations", "loop_guard"])
def test_the_documented_defaults_are_right(table: str) -> None:
    section = without_blocks(SETTINGS).partition(f"## `[{table}]`")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| `?(.*?)`? \|$", section, re.M))
    defaults = to_jsonable_python(RouterConfig.model_fields[table].get_default())
    assert set(rows) == set(defaults)
    for key, written in rows.items():
        if key in {"public_url", "data_dir"}:  # one depends on HOST and PORT, the other is a path
            continue
        documented = None if written == "none" else tomllib.loads(f"value = {written}")["value"]
        if key == "interrupted_by":  # one keyword needs no list
            documented = [documented]
        assert documented == defaults[key], key


def test_each_variable_is_documented() -> None:
    credentials = ("ACCOUNT_SID", "AUTH_TOKEN", "AUTH_TOKEN_SECONDARY", "MESSAGING_SERVICE_SID")
    variables = {*VARIABLES, "SMS_ROUTER_CONFIG", *(f"TWILIO_{each}" for each in credentials)}
    assert variables <= set(inline_code(SETTINGS))


def every_command() -> list[tuple[str, ...]]:
    """Return every command and sub-command."""
    commands: list[tuple[str, ...]] = []
    for name in COMMANDS:
        inner = getattr(load_command(name), "commands", {})
        commands += [(name,), *((name, each) for each in inner)]
    return commands


def test_each_command_is_documented() -> None:
    documented = [tuple(each.split()) for each in inline_code(COMMAND_PAGE)]
    for words in every_command():
        assert any(each[: len(words)] == words for each in documented), " ".join(words)


def written_commands(page: Path) -> Iterator[str]:
    """Yield every command of the page, without the program's name."""
    written = [
        each for each in inline_code(page) if each.startswith(("sms-router ", ".venv/bin/sms-router "))
    ]
    for block in code_blocks("sh", "console", page=page):
        lines = block.text.replace("\\\n", " ").splitlines()
        written += [line for line in lines if re.match(r"(\$ )?\.venv/bin/sms-router ", line)]
    if page == COMMAND_PAGE:
        written += [f"sms-router {each}" for each in inline_code(page) if each.split()[0] in COMMANDS]
    return (each.partition("sms-router ")[2] for each in written)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_each_command_of_a_page_exists(page: Path) -> None:
    for line in written_commands(page):
        words = shlex.split(re.sub(r"[\[\]]", " ", line), comments=True)
        command = load_command(words[0])
        inner = getattr(command, "commands", {})
        listing = inner.get("list", command)  # without a command, a noun lists
        options = {option for each in (*command.params, *listing.params) for option in each.opts}
        if inner and len(words) > 1 and not words[1].startswith("-"):
            assert words[1] in inner, line
            options |= {option for each in inner[words[1]].params for option in each.opts}
        assert {each for each in words if each.startswith("--")} <= options, line


def test_each_make_target_of_a_page_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text("utf-8"), re.M))
    written = [each for page in PAGES for each in inline_code(page)]
    written += [line for block in code_blocks("sh", "console") for line in block.text.splitlines()]
    called = {target for each in written for target in re.findall(r"(?:^|\s)make ([a-z]+)", each)}
    assert {"run", "test"} <= called <= targets


def test_the_architecture_page_names_every_folder_and_only_what_exists() -> None:
    page = REPOSITORY / "docs" / "architecture.md"
    package = REPOSITORY / "app" / "sms_router"
    section = without_blocks(page).partition("## The folders")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.M)
    named_folders = {path.rstrip("/") for cell in cells for path in re.findall(r"`([^`]+)`", cell)}
    folders = {path.parent.relative_to(package).as_posix() for path in package.glob("*/__init__.py")}
    routing = {path.parent.relative_to(package).as_posix() for path in package.glob("routing/*/__init__.py")}
    assert folders | routing <= named_folders
    assert [path for path in named_folders if not (package / path).exists()] == []
    for path in re.findall(r"`((?:[a-z_]+/)+[\w.]*)`", without_blocks(page)):
        assert (package / path).exists() or (REPOSITORY / path).exists(), path
