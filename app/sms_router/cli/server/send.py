"""``sms-router send``: a message that is no reply, by the running router."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from typer import Argument, Option

from sms_router.cli.context import START_HINT, settings_for_command
from sms_router.cli.output import CommandError, JsonOption, address_option, print_json, print_line, program
from sms_router.cli.times import format_time, parse_time
from sms_router.config.settings import Settings

MAX_DELAY = 1.0
"""Seconds until a message leaves that is sent at once."""


def send(
    to: Annotated[str, Argument(help="The contact's number, like +14155550123.", callback=address_option)],
    text: Annotated[list[str] | None, Argument(help="The text; none with --cancel.")] = None,
    at: Annotated[str | None, Option("--at", help="When: ISO 8601, or +3d, +12h.")] = None,
    key: Annotated[
        str | None, Option("--key", help="A message with the same key is sent to the contact once.")
    ] = None,
    service: Annotated[
        str | None, Option("--service", help="The Service; default: the first that is configured.")
    ] = None,
    urgent: Annotated[
        bool, Option("--urgent", help="Send it in quiet hours too: the contact has just asked for it.")
    ] = False,
    cancel: Annotated[
        bool, Option("--cancel", help="Cancel the message with this --key instead, if it waits.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send a message that is no reply, by the running router.

    It passes the opt-out list and leaves from a sender of the Service, once. The router needs API_TOKEN.
    Exits with 1 when nothing is sent.
    """
    import requests  # noqa: PLC0415 (slow to import)

    if cancel and key is None:
        raise CommandError("Which message? Give its --key, or: sms-router messages cancel SID", code=2)
    if not cancel and not text:
        raise CommandError('What? sms-router send NUMBER "Your table is ready."', code=2)
    settings = settings_for_command()
    token = settings.api.token.get_secret_value()
    if not token:
        raise CommandError(
            "API_TOKEN is not set: the router accepts no requests to send.",
            "Set it here (16 characters or more) and for the router, then start the router again:",
            f"export API_TOKEN={secrets.token_hex(16)}",
        )
    fields = {
        "to": to,
        "text": " ".join(text) if text and not cancel else None,
        "key": key,
        "service": service,
        "urgent": urgent or None,
        "at": datetime.fromtimestamp(parse_time(at) / 1000, UTC).isoformat() if at is not None else None,
    }
    try:
        response = requests.request(
            "DELETE" if cancel else "POST",
            f"{settings.private_url}/v1/messages",
            json={name: value for name, value in fields.items() if value is not None},
            headers={"Authorization": f"Bearer {token}", "User-Agent": "sms-router send"},
            timeout=20,
        )
    except requests.RequestException as error:
        raise CommandError(
            f"The router at {settings.private_url} did not answer: {error}", START_HINT
        ) from error
    answer = _parse(response.text, response.status_code, settings)
    if as_json:
        print_json(answer)
    else:
        print_line(describe_answer(answer, time.time()))
    if not response.ok:
        raise typer.Exit(1)


def _parse(body: str, status: int, settings: Settings) -> dict[str, Any]:
    if status == 401:
        raise CommandError(
            f"This API_TOKEN is not that of the router at {settings.private_url}: use the same in both."
        )
    try:
        answer: dict[str, Any] = json.loads(body)
    except ValueError as error:
        raise CommandError(
            f"The router at {settings.private_url} has no /v1/messages: it was started without API_TOKEN.",
            "Set the same API_TOKEN where it runs, and start it again.",
        ) from error
    return answer


def describe_answer(answer: Mapping[str, Any], now: float) -> str:
    """Return what became of a message, and how a waiting one is cancelled; ``now`` is the Unix time."""
    if "cancelled" in answer:
        return "Cancelled." if answer["cancelled"] else "No message with this key waits."
    if answer["result"] != "sent":
        reason = answer.get("reason")
        return f"{str(answer['result']).replace('_', ' ').capitalize()}{f': {reason}' if reason else '.'}"
    sid, at = answer["sid"], datetime.fromisoformat(answer["at"]).timestamp()
    if at <= now + MAX_DELAY:
        return f"Sent: {sid}"
    return f"Waits until {format_time(at * 1000)}: {sid}\nCancel it: {program()} messages cancel {sid}"
