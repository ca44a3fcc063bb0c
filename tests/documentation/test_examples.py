"""The examples of the pages work unchanged: keywords, handlers, settings, scenarios."""

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
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.sandbox.scenarios.scenario import load_scenario
from sms_router.sandbox.world.loader import load_world
from sms_router.senders.error_table import load_error_table
from tests.documentation.pages import PAGES, REPOSITORY, Block, code_blocks, page_name
from tests.routing.messages import message

PUBLIC = "https://sms.example.com"

STEP = '[[steps]]\nphone = "+14155550123"\ntexts = "HOURS"\nshows = 1\n'
"""A scenario needs at least one."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with the shipped configuration, from which handlers can be imported."""
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    before = set(sys.modules)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in set(sys.modules) - before:
        if name.startswith("page_"):
            del sys.modules[name]


def load_handlers(folder: Path, handlers: list[Block]) -> HandlerRegistry:
    """Save each block as a file, and load them together with the shipped handlers."""
    modules, middlewares = ["handlers"], []
    for number, block in enumerate(handlers):
        name = f"page_{re.sub(r'[^a-z]', '_', block.page.lower())}_{number}"
        (folder / f"{name}.py").write_text(block.text)
        middleware_names = re.findall(r"^async def (\w+)\(.*call_next", block.text, re.M)
        middlewares += [f"{name}:{function}" for function in middleware_names]
        modules += [] if middleware_names else [name]
    registry = HandlerRegistry.load(modules, None, middlewares, ConversationPolicy())
    assert registry.errors == []
    return registry


def load_keywords(folder: Path, keywords: list[Block], handlers: HandlerRegistry) -> Dispatcher:
    """Append the blocks to ``keywords.toml``, as a reader of the page does, and load it."""
    file = folder / "config" / "keywords.toml"
    with file.open("a") as stream:
        stream.writelines(f"\n{block.text}" for block in keywords)
    words = load_opt_out_keywords(folder / "config")
    return load_rules(file, file.parent / "templates", handlers, words, ForwardConfig(public_url=PUBLIC))


def tables_of(block: Block) -> set[str]:
    return set(tomllib.loads(block.text))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_a_page_can_be_followed_from_top_to_bottom(page: Path, folder: Path) -> None:
    handlers = code_blocks("python", page=page)
    keywords = [block for block in code_blocks("toml", page=page) if tables_of(block) == {"keyword"}]
    registry = load_handlers(folder, handlers)
    assert len(registry.handlers) >= 2 + sum("@keyword" in block.text for block in handlers)
    load_keywords(folder, keywords, registry)


@pytest.mark.parametrize("block", code_blocks("toml"), ids=str)
def test_each_toml_block_is_valid(block: Block, folder: Path) -> None:
    tables, config = tables_of(block), folder / "config"
    if tables <= {"keyword", "default"}:
        (config / "keywords.toml").write_text(block.text)
        load_keywords(folder, [], HandlerRegistry.load([]))
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
        scenario = block.text if "steps" in tables else f'title = "Whole"\n{block.text}{STEP}'
        (folder / "scenario.toml").write_text(scenario)
        load_scenario(folder / "scenario.toml", load_world(config / "sandbox.toml", PUBLIC))


def test_the_replies_in_the_readme_are_those_of_the_rules(folder: Path) -> None:
    page = REPOSITORY / "README.md"
    keywords = [block for block in code_blocks("toml", page=page) if tables_of(block) == {"keyword"}]
    dispatcher = load_keywords(folder, keywords, HandlerRegistry([], []))
    shown = [block.text for block in code_blocks("console", page=page)]
    assert len(shown) == 2
    for block in shown:
        (text,) = re.findall(r" texts 12345: (.*)", block)
        (reply,) = re.findall(r"^│ (.*?) *│$", block, re.M)
        action = dispatcher.resolve(message(text)).responder
        assert isinstance(action, TemplateResponder)
        assert action.reply(message(text, FromCity="SAN FRANCISCO")) == Reply(reply)
