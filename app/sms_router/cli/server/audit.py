"""``sms-router sandbox audit``: a carrier's audit of opt-out words, played against the configuration."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sms_router.cli.context import handlers_folder, sandbox_world
from sms_router.cli.output import CommandError, JsonOption, print_json, print_line
from sms_router.config.settings import Settings, load_settings
from sms_router.files import write_atomically
from sms_router.routing.opt_outs.audit import TRANSCRIPT, audit_reply
from sms_router.routing.opt_outs.keywords import Intent, Language

if TYPE_CHECKING:
    from sms_router.sandbox.scenarios.auditor import AuditedText


def audit(
    output: Annotated[
        Path | None, typer.Option("--output", help="Where the transcript is written; default: in data_dir.")
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
    languages = load_rules(settings).opt_outs.languages
    texts = asyncio.run(_play(settings, list(languages.values())))
    objections = [list(_objections(text, languages[text.language])) for text in texts]
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
                    "language": text.language,
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
    from sms_router.sandbox.scenarios.auditor import AuditWords, play_audit  # noqa: PLC0415
    from sms_router.sandbox.scenarios.router_process import RouterError  # noqa: PLC0415
    from sms_router.sandbox.scenarios.runner import OwnRouter, ScenarioRunner  # noqa: PLC0415
    from sms_router.sandbox.scenarios.scenario import Scenario  # noqa: PLC0415

    port = free_port()
    world = sandbox_world(load_settings({**os.environ, "PUBLIC_URL": f"http://127.0.0.1:{port}"}))
    words = [
        AuditWords(one.code, *(one.words[intent][0] for intent in (Intent.HELP, Intent.STOP, Intent.START)))
        for one in languages
    ]
    try:
        runner = ScenarioRunner(OwnRouter(settings.folder, port, handlers_folder(settings)))
        async with runner.start(Scenario("audit", world, ())) as (platform, _):
            return [text async for text in play_audit(platform, words)]
    except (HostingError, RouterError) as error:
        raise CommandError(str(error)) from error


def _objections(text: AuditedText, language: Language) -> Iterator[str]:
    if text.objection:
        yield text.objection
    for reply in text.replies if text.intent else ():
        if reply.author != "router":
            continue
        if reply.text != language.replies[Intent(text.intent)]:
            yield f"the reply is not the {text.intent} reply of opt-outs.toml"
        yield from (f"the reply {objection}" for objection in audit_reply(language, Intent(text.intent)))


def _transcript(texts: Sequence[AuditedText], objections: Sequence[Sequence[str]]) -> Iterator[str]:
    heading = ""
    for text, found in zip(texts, objections, strict=True):
        if heading != (heading := f"{text.number} ({text.kind}), {text.language}"):
            yield from ("", heading)
        yield f"  auditor: {text.text}"
        yield from (f"    {reply.author}: {reply.text}" for reply in text.replies)
        if not text.replies:
            yield "    (no reply)"
        yield from (f"    objection: {objection}" for objection in found)
