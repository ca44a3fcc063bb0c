"""The clinic of docs/handlers.md, played text by text."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest

from sms_router import Reply, Sms
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.responders import HandlerResponder
from sms_router.routing.dispatch.rule_loader import load_rules
from sms_router.routing.handler.conversation import UNCHANGED, StoredConversation
from sms_router.routing.handler.environment import HandlerEnvironment
from tests.documentation.pages import REPOSITORY, code_blocks
from tests.routing.messages import message

PAGE = REPOSITORY / "docs" / "handlers.md"


class RecordedSms:
    """Stands for the outbox: remembers what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    async def send(self, to: str, reply: str | Reply, **_: object) -> None:
        self.sent.append((to, reply if isinstance(reply, str) else reply.texts[0]))


class Phone:
    """Texts the clinic, and keeps the conversation as the router does."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.stored: StoredConversation | None = None

    async def text(self, body: str) -> str:
        assert self._dispatcher.conversations is not None
        resolution = self._dispatcher.resolve(message(body))
        resolution = self._dispatcher.conversations.route(resolution, message(body), self.stored)
        assert isinstance(resolution.responder, HandlerResponder), resolution.rule
        reply = await resolution.responder.run(message(body))
        assert isinstance(reply, Reply), reply
        conversation = resolution.conversation
        if conversation is not None and conversation.serialized != UNCHANGED:
            self.stored = StoredConversation.parse(conversation.serialized, 1)
        return " | ".join(reply.texts)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The blocks of the page as modules; the middleware's is among them."""
    monkeypatch.syspath_prepend(tmp_path)
    blocks = code_blocks("python", page=PAGE)
    names = [f"guide_{number}" for number, _ in enumerate(blocks)]
    for name, block in zip(names, blocks, strict=True):
        (tmp_path / f"{name}.py").write_text(block.text)
    yield names
    for name in names:
        sys.modules.pop(name, None)


async def test_the_clinic_works_as_the_page_tells(modules: list[str], tmp_path: Path) -> None:
    (timing,) = (
        f"{name}:timing" for name in modules if "def timing" in (tmp_path / f"{name}.py").read_text()
    )
    sms, environment = RecordedSms(), HandlerEnvironment()
    environment.sms_for = lambda _: cast("Sms", sms)
    registry = HandlerRegistry.load(modules, environment, (timing,))
    assert registry.errors == []
    phone = Phone(load_rules(tmp_path / "keywords.toml", tmp_path, registry))
    async with AsyncExitStack() as stack:
        await environment.start(stack)
        stack.push_async_callback(environment.aclose)
        assert await phone.text("way") == "12 Green Street. | Bus 7 stops at the door."
        assert await phone.text("VISITS") == "Your visits: none."
        assert await phone.text("book") == "Which day? Monday, Tuesday or Friday."
        assert await phone.text("Sunday?") == "Monday, Tuesday or Friday, please."
        assert await phone.text("Friday!") == "See you on Friday. Text REMIND for a reminder."
        assert await phone.text("visits") == "Your visits: friday."
        assert await phone.text("remind") == "We remind you the day before."
        phone.stored = StoredConversation("coming", {}, 900.0)  # when the reminder has left
        assert await phone.text("No") == "Thank you for telling us."
    assert [text for _, text in sms.sent] == [
        "Your visit is tomorrow. Do you come? YES or NO",
        "A visit of tomorrow is free.",
    ]
