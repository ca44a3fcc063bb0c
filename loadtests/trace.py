"""``python -m loadtests.trace``: print each function of the router that one message calls, in order.

The real ASGI application runs in this process with its own Valkey. Messages of other contacts are sent first,
so that it has cached what a running worker has: with the same area code the rendered reply too; with other
area codes the sender is selected and the reply rendered.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Scope
from twilio.request_validator import RequestValidator

import sms_router
from loadtests.bench.server import running_store
from loadtests.bench.setup import ACCOUNT_SID, AUTH_TOKEN, SERVICE_SID, SHORT_CODE, BenchSetup
from loadtests.bench.stacks import STACKS
from sms_router import keyword
from sms_router.application import build
from sms_router.config.settings import load_settings
from sms_router.store.connection import PipelinedConnection

PACKAGE = Path(sms_router.__file__).parent
AREA_CODE = 415
OTHER_AREA_CODES = (206, 212, 312)
COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
"""Not listed: newer versions of Python inline some of them."""

ROUTER_TOML = """\
[router]
handlers = ["loadtests.trace"]
"""

KEYWORDS_TOML = """\
[[keyword]]
words = ["HOURS"]
reply = "We are open 9 to 5, {{ message.from_city }}."
"""

command = typer.Typer(add_completion=False)


class Before(StrEnum):
    """The messages that come before the traced one."""

    SAME_AREA = "same-area"
    OTHER_AREAS = "other-areas"
    NONE = "none"

    @property
    def area_codes(self) -> tuple[int, ...]:
        """Their area codes."""
        codes = {Before.SAME_AREA: (AREA_CODE,) * 3, Before.OTHER_AREAS: OTHER_AREA_CODES, Before.NONE: ()}
        return codes[self]


class Webhook(StrEnum):
    """What Twilio sends."""

    TEMPLATE = "template"
    HANDLER = "handler"
    STATUS = "status"


@keyword("ECHO")
async def echo(argument: str) -> str:
    """Return the text after the keyword."""
    return argument


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one of the router's functions."""

    file: str
    function: str
    depth: int


@dataclass(slots=True)
class Trace:
    """The calls between the ASGI entry and the last ``send``."""

    calls: list[Call] = field(default_factory=list)
    builtin_calls: int = 0
    """Calls of built-in functions by these functions."""

    @property
    def files(self) -> list[str]:
        """The files that were entered, in the order of their first call."""
        return list(dict.fromkeys(call.file for call in self.calls))

    @property
    def functions(self) -> int:
        """The number of different functions."""
        return len({(call.file, call.function) for call in self.calls})

    def __str__(self) -> str:
        """Return the calls as an indented list, and the sums."""
        lines = [f"{'  ' * call.depth}{call.file}: {call.function}" for call in self.calls]
        calls, builtin = len(self.calls), self.builtin_calls
        total = (
            f"{calls + builtin} calls ({calls} of the router's functions, {builtin} of built-in functions)"
        )
        return "\n".join([*lines, "", f"{len(self.files)} files, {self.functions} functions, {total}"])


_traced: ContextVar[bool] = ContextVar("traced", default=False)
"""True in the task of the traced message, and in the tasks and callbacks that it starts."""


class Recorder:
    """Records calls of the router's functions by the task of one message (a profile function).

    The answers of Redis arrive in the context of the connection; they are recorded too. The calls of other
    tasks are not. A coroutine that continues after a wait is one call.
    """

    def __init__(self) -> None:
        self.trace = Trace()
        self._begun: set[FrameType] = set()
        self._answer_calls: set[str] = set()
        """Built-in functions that reading an answer has called; those of other tasks may come in one read."""

    def __call__(self, frame: FrameType, event: str, called: Any) -> None:
        """Record one event of `sys.setprofile`."""
        code = frame.f_code
        if not code.co_filename.startswith(str(PACKAGE)) or not (_traced.get() or _is_answer(frame)):
            return
        if event == "c_call":
            self.trace.builtin_calls += _traced.get() or called.__name__ not in self._answer_calls
            if not _traced.get():
                self._answer_calls.add(called.__name__)
        elif event == "call" and frame not in self._begun and code.co_name not in COMPREHENSIONS:
            if code.co_flags & (inspect.CO_COROUTINE | inspect.CO_GENERATOR):
                self._begun.add(frame)
            file = Path(code.co_filename).relative_to(PACKAGE).as_posix()
            self.trace.calls.append(Call(file, code.co_qualname, self._depth(frame)))

    @staticmethod
    def _depth(frame: FrameType) -> int:
        depth, caller = 0, frame.f_back
        while caller is not None:
            depth += caller.f_code.co_filename.startswith(str(PACKAGE))
            caller = caller.f_back
        return depth


def _is_answer(frame: FrameType) -> bool:
    return frame.f_code is PipelinedConnection.data_received.__code__


def trace(webhook: Webhook, folder: Path, before: Before = Before.SAME_AREA) -> Trace:
    """Return the calls of one webhook.

    Args:
        webhook: what Twilio sends.
        folder: an empty folder, for the configuration and Valkey's socket.
        before: the messages that are sent before it.

    """
    setup = BenchSetup(8000, folder)
    (folder / "config").mkdir()
    (folder / "config" / "router.toml").write_text(ROUTER_TOML)
    (folder / "config" / "keywords.toml").write_text(KEYWORDS_TOML)
    router = next(stack for stack in STACKS if stack.name == "router")
    with contextlib.chdir(folder), running_store(router, setup):
        return asyncio.run(_trace(webhook, setup, before))


async def _trace(webhook: Webhook, setup: BenchSetup, before: Before) -> Trace:
    application = build(load_settings(setup.environment))
    recorder = Recorder()
    async with _lifespan(application):
        for number, area_code in enumerate(before.area_codes):
            await _deliver(application, webhook, number, area_code, setup)
        token = _traced.set(True)
        sys.setprofile(recorder)
        try:
            await _deliver(application, webhook, len(before.area_codes), AREA_CODE, setup)
        finally:
            sys.setprofile(None)
            _traced.reset(token)
    return recorder.trace


@contextlib.asynccontextmanager
async def _lifespan(application: Router) -> AsyncIterator[None]:
    async with application.lifespan_context(application):
        yield


async def _deliver(
    application: ASGIApp, webhook: Webhook, number: int, area_code: int, setup: BenchSetup
) -> None:
    """Send one signed webhook of a contact with this area code, and check the answer's status."""
    contact = f"+1{area_code}555{number:04}"
    form = {
        "AccountSid": ACCOUNT_SID,
        "MessagingServiceSid": SERVICE_SID,
        "MessageSid": f"SM{number:032x}",
    }
    path, query, expected = "/sms", "", 200
    if webhook is Webhook.STATUS:
        path, query, expected = "/sms/status", f"reply=SM{number:032x}", 204
        form |= {"From": SHORT_CODE, "To": contact, "MessageStatus": "delivered"}
    else:
        text = "HOURS" if webhook is Webhook.TEMPLATE else "ECHO hello"
        form |= {"From": contact, "To": SHORT_CODE, "Body": text}
        form |= {"FromCountry": "US", "FromCity": "SAN FRANCISCO", "NumMedia": "0", "NumSegments": "1"}
    url = f"{setup.base_url}{path}" + (f"?{query}" if query else "")
    signature = RequestValidator(AUTH_TOKEN).compute_signature(url, form)
    headers = {
        "host": f"127.0.0.1:{setup.port}",
        "content-type": "application/x-www-form-urlencoded",
        "x-twilio-signature": signature,
    }
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("127.0.0.1", setup.port),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": urlencode(form).encode(), "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await application(scope, receive, send)
    if sent[0]["status"] != expected:
        raise RuntimeError(f"the router answered {sent[0]['status']} to a {webhook.value} webhook")


@command.command()
def main(
    webhook: Annotated[Webhook, typer.Argument(help="What Twilio sends.")] = Webhook.TEMPLATE,
    *,
    before: Annotated[
        Before, typer.Option(help="Which messages of other contacts come before it.")
    ] = Before.SAME_AREA,
) -> None:
    """Print the router's functions that one webhook calls, from the ASGI entry to the last send.

    The webhook is a message that a template or a handler answers, or a status callback.
    """
    with TemporaryDirectory(prefix="sms-trace-") as name:
        typer.echo(trace(webhook, Path(name), before))


if __name__ == "__main__":
    command()
