"""The clinic of docs/handlers.md and the handlers of the README, texted as the tests of the pages do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sms_router.testing import SmsTester
from tests.documentation.pages import REPOSITORY, code_blocks

README, HANDLERS, TESTING = (
    REPOSITORY / name for name in ("README.md", "docs/handlers.md", "docs/testing.md")
)


def functions_in(*pages: Path) -> dict[str, Callable[[SmsTester], None]]:
    """Return the test functions of the pages by their names."""
    functions: dict[str, Callable[[SmsTester], None]] = {}
    for block in (block for page in pages for block in code_blocks("python", page=page)):
        if "SmsTester" in block.text:
            exec(compile(block.text, str(block), "exec"), functions)
    return {name: function for name, function in functions.items() if name.startswith("test_")}


@pytest.fixture(scope="session")
def sms_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with the handlers and keywords of the pages."""
    folder = tmp_path_factory.mktemp("pages")
    blocks = [block for page in (README, HANDLERS) for block in code_blocks("python", page=page)]
    modules = {f"page_{index}": one.text for index, one in enumerate(blocks) if "SmsTester" not in one.text}
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    around = [f"{name}:timing" for name, text in modules.items() if "def timing" in text]
    (folder / "router.toml").write_text(f"[router]\nhandlers = {list(modules)}\nmiddlewares = {around}\n")
    (folder / "keywords.toml").touch()
    sys.path.append(str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in modules:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("_name", "run"), functions_in(HANDLERS, TESTING).items())
def test_the_tests_in_the_pages_pass(_name: str, run: Callable[[SmsTester], None], sms: SmsTester) -> None:
    run(sms)


def test_the_readme_s_handlers_reply_as_it_shows(sms: SmsTester) -> None:
    assert sms.text("order two pies").text == "+14155550123 asks for two pies."
    assert [sms.text(text).text for text in ("PIZZA", "XL", "M 👍")] == [
        "Which size?",
        "S, M or L?",
        "One margherita in M, thank you.",
    ]
