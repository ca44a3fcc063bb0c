"""``sms-router sandbox audit``: a carrier's audit of opt-out words, played against the configuration."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from sms_router.cli.context import handlers_folder, sandbox_world
from sms_router.cli.output import CommandError, JsonOption, print_json, print_line
from sms_router.config.settings import Settings, load_settings
from sms_router.files import write_atomically
from sms_router.routing.opt_outs.audit import TRANSCRIPT, audit_reply
from sms_router.routing.opt_outs.keywords import Intent, Language

if TYPE_CHECKING:
    from sms_router.sandbox.platform import Platform

ORDINARY_TEXT = "hello"
"""What the auditor texts after STOP, which gets no reply."""

_AREA_CODES = {"CA": "604"}


@dataclass(frozen=True, slots=True)
class AuditReply:
    """One reply, and who has sent it."""

    author: str
    """``router``, ``Twilio`` or ``network``."""
    text: str


@dataclass(frozen=True, slots=True)
class AuditedText:
    """One text of the auditor, with all replies to it."""

    number: str
    kind: str
    language: Language
    intent: Intent | None
    """None for an ordinary text."""
    text: str
    replies: tuple[AuditReply, ...]

    @property
    def objection(self) -> str:
        """What is wrong with the number of replies; empty where nothing is."""
        expected, count = int(self.intent is not None), len(self.replies)
        return "" if count == expected else f"replies: {count} instead of {expected}"


def audit(
    output: Annotated[
        Path | None, Option("--output", help="Where the transcript is written; default: in data_dir.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Text HELP, STOP and START as a carrier's auditor does, and judge the replies.

    A sandbox and a router with your configuration are started. Each word is texted to one number of each
    kind, in each language. It must get one reply, and an ordinary text after STOP none. Replies of the router
    are held against what carriers ask for. The console shows the latest transcript.

    Exits with 1 on an objection.
    """
    from sms_router.cli.rules import load_rules  # noqa: PLC0415 (slow to import)

    settings = load_settings()
    texts = asyncio.run(_play(settings, list(load_rules(settings).opt_outs.languages.values())))
    objections = [list(_objections(text)) for text in texts]
    count = sum(map(len, objections))
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    verdict = f"{count} objections" if count else "passed"
    lines = [f"Audit of {settings.folder}, {moment}: {verdict}", *_transcript(texts, objections)]
    path = output or settings.router.data_dir / TRANSCRIPT
    write_atomically(path, "\n".join((*lines, "")))
    if as_json:
        print_json(
            [
                {
                    "number": text.number,
                    "kind": text.kind,
                    "language": text.language.code,
                    "text": text.text,
                    "replies": [{"from": reply.author, "body": reply.text} for reply in text.replies],
                    "objections": found,
                }
                for text, found in zip(texts, objections, strict=True)
            ]
        )
    else:
        for line in (*lines, "", f"Written to {path}"):
            print_line(line)
    raise typer.Exit(1 if count else 0)


async def _play(settings: Settings, languages: Sequence[Language]) -> list[AuditedText]:
    from sms_router.sandbox.hosting import HostingError, free_port  # noqa: PLC0415 (slow to import)
    from sms_router.sandbox.scenarios.runner import OwnRouter, RouterError, ScenarioRunner  # noqa: PLC0415
    from sms_router.sandbox.scenarios.scenario import Scenario  # noqa: PLC0415

    port = free_port()
    world = sandbox_world(load_settings({**os.environ, "PUBLIC_URL": f"http://127.0.0.1:{port}"}))
    try:
        runner = ScenarioRunner(OwnRouter(settings.folder, port, handlers_folder(settings)))
        async with runner.start(Scenario("audit", world, ())) as (platform, _):
            return [text async for text in play_audit(platform, languages)]
    except (HostingError, RouterError) as error:
        raise CommandError(str(error)) from error


async def play_audit(platform: Platform, languages: Sequence[Language]) -> AsyncIterator[AuditedText]:
    """Text HELP, STOP, an ordinary text and START to one number of each kind, in each language."""
    from sms_router.sandbox.inbound.session import receive_text  # noqa: PLC0415 (slow to import)
    from sms_router.sandbox.inbound.webhook_parameters import IncomingText  # noqa: PLC0415

    members = [number for number in platform.account.numbers if platform.account.service_of(number.sid)]
    first = {number.kind: number for number in reversed(members)}
    phones = count(2001)
    for number, language in product(first.values(), languages):
        sender = f"+1{_AREA_CODES.get(number.country or '', '415')}555{next(phones)}"
        for intent in (Intent.HELP, Intent.STOP, None, Intent.START):
            text = language.words[intent][0] if intent else ORDINARY_TEXT
            result = await receive_text(platform, IncomingText(sender, number, text))
            replies = [AuditReply("network", reply.body) for reply in result.network_replies]
            for sent in result.sent:
                author = "Twilio" if sent in result.twilio_replies else "router"
                replies.append(AuditReply(author, sent.message.body))
            yield AuditedText(number.address, number.kind.value, language, intent, text, tuple(replies))


def _objections(text: AuditedText) -> Iterator[str]:
    if text.objection:
        yield text.objection
    for reply in text.replies:
        if reply.author != "router" or text.intent is None:
            continue
        if reply.text != text.language.replies[text.intent]:
            yield f"the reply is not the {text.intent} reply of opt-outs.toml"
        yield from (f"the reply {objection}" for objection in audit_reply(text.language, text.intent))


def _transcript(texts: Sequence[AuditedText], objections: Sequence[Sequence[str]]) -> Iterator[str]:
    heading = ""
    for text, found in zip(texts, objections, strict=True):
        if heading != (heading := f"{text.number} ({text.kind}), {text.language.code}"):
            yield from ("", heading)
        yield f"  auditor: {text.text}"
        yield from (f"    {reply.author}: {reply.text}" for reply in text.replies)
        if not text.replies:
            yield "    (no reply)"
        yield from (f"    objection: {objection}" for objection in found)
