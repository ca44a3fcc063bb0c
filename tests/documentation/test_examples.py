"""Whatever the pages show can be used as it stands: keywords, handlers, settings, scenarios."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sms_router.config.models import RouterConfig
from sms_router.config.settings import load_settings
from sms_router.routing.dispatch.conversation_steps import ConversationPolicy
from sms_router.routing.dispatch.dispatcher import Dispatcher, ForwardConfig
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.responders import TemplateResponder
from sms_router.routing.dispatch.rule_loader import load_rules
from sms_router.routing.handler.reply import Reply
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.sandbox import load_world
from sms_router.sandbox.scenarios.loader import load_scenario
from sms_router.senders.error_table import load_error_table
from tests.documentation.pages import PAGES, REPOSITORY, Block, blocks, named
from tests.routing.messages import message

PUBLIC = "https://sms.example.com"

A_STEP = '[[steps]]\nphone = "+14155550123"\ntexts = "HOURS"\nshows = 1\n'
"""What a piece of a scenario needs beside it."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The configuration that comes along, and a place for handlers that can be imported."""
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    before = set(sys.modules)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in set(sys.modules) - before:
        if name.startswith("written_"):
            del sys.modules[name]


def written_handlers(folder: Path, found: list[Block]) -> HandlerRegistry:
    """Save each block as a file of its own, and load them all, beside those that come along."""
    modules, middlewares = ["handlers"], []
    for number, block in enumerate(found):
        name = f"written_{re.sub(r'[^a-z]', '_', block.page.lower())}_{number}"
        (folder / f"{name}.py").write_text(block.text)
        around = re.findall(r"^async def (\w+)\(.*call_next", block.text, re.M)
        middlewares += [f"{name}:{function}" for function in around]
        modules += [] if around else [name]
    functions = HandlerRegistry.load(modules, HandlerThreadPool(1), middlewares, ConversationPolicy())
    assert functions.errors == []
    return functions


def rules(folder: Path, keywords: list[Block], functions: HandlerRegistry) -> Dispatcher:
    """Append the pieces to ``keywords.toml``, as somebody does who follows the page, and read it."""
    file = folder / "config" / "keywords.toml"
    with file.open("a") as opened:
        opened.writelines(f"\n{block.text}" for block in keywords)
    words = load_opt_out_keywords(folder / "config")
    return load_rules(file, file.parent / "templates", functions, words, ForwardConfig(public_url=PUBLIC))


def tables_of(block: Block) -> set[str]:
    return set(tomllib.loads(block.text))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_can_be_followed_from_top_to_bottom(page: Path, folder: Path) -> None:
    handlers = blocks("python", page=page)
    keywords = [block for block in blocks("toml", page=page) if tables_of(block) == {"keyword"}]
    functions = written_handlers(folder, handlers)
    assert len(functions.handlers) >= 2 + sum("@keyword" in block.text for block in handlers)
    rules(folder, keywords, functions)


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_each_piece_of_a_file_is_read(block: Block, folder: Path) -> None:
    tables, config = tables_of(block), folder / "config"
    if tables <= {"keyword", "default"}:
        (config / "keywords.toml").write_text(block.text)
        rules(folder, [], HandlerRegistry.load([], HandlerThreadPool(1)))
    elif tables <= set(RouterConfig.model_fields):
        (config / "router.toml").write_text(block.text)
        secrets = dict.fromkeys(re.findall(r'"env:(\w+)"', block.text), "a-secret")
        load_settings({"SMS_ROUTER_CONFIG": str(config), **secrets})
    elif tables == {"error"}:
        (config / "carriers.toml").write_text(block.text)
        load_error_table(config)
    elif tables == {"language"}:
        (config / "opt-outs.toml").write_text(block.text)
        load_opt_out_keywords(config)
    else:
        whole = block.text if "steps" in tables else f'title = "Whole"\n{block.text}{A_STEP}'
        (folder / "scenario.toml").write_text(whole)
        load_scenario(folder / "scenario.toml", load_world(config / "sandbox.toml", PUBLIC))


def test_the_answers_in_the_readme_are_what_people_get(folder: Path) -> None:
    page = REPOSITORY / "README.md"
    keywords = [block for block in blocks("toml", page=page) if tables_of(block) == {"keyword"}]
    found = rules(folder, keywords, HandlerRegistry([], []))
    shown = [block.text for block in blocks("console", page=page)]
    assert len(shown) == 2
    for block in shown:
        (said,) = re.findall(r" texts 12345: (.*)", block)
        (answer,) = re.findall(r"^│ (.*?) *│$", block, re.M)
        action = found.resolve(message(said)).responder
        assert isinstance(action, TemplateResponder)
        assert action.reply(message(said)) == Reply(answer)
