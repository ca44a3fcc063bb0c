"""``sms-router text``: text a running router from a phone, and show what the phone gets."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from rich.panel import Panel
from rich.status import Status
from rich.text import Text as StyledText
from typer import Option

from sms_router.cli.context import START_HINT, embedded_is_running, settings_for_command, store_is_running
from sms_router.cli.output import (
    CommandError,
    JsonOption,
    TextArgument,
    address_option,
    confirm,
    plain,
    plural,
    print_json,
    print_line,
    program,
    stdout,
)
from sms_router.cli.senders.pools import default_recipient, known_pools, stored_pools
from sms_router.cli.server.phone import (
    DELIVERY,
    URL_HINT,
    OutgoingText,
    PhoneMessage,
    TextByPhone,
    expected,
    why_no_reply,
)
from sms_router.cli.store import store_client
from sms_router.config.settings import Settings
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.twilio.inbound import MESSAGE_SID
from sms_router.twilio.phone_numbers import contact_of

if TYPE_CHECKING:
    from sms_router.cli.server.text_by_webhook import TextByWebhook

DEFAULT_CONTACT = "+14155550123"

START_TIMEOUT = 5.0
"""Seconds to wait for a router that is starting."""

MAX_WAIT = 60.0
"""Seconds to wait for late replies, re-routed ones and receipts."""

MAX_RECORDS = 20
"""The newest ones of the contact."""

READ_INTERVAL = 0.1
"""Seconds."""

_URL = re.compile(r"https?://[^/\s]\S*")

_STYLES = {"delivered": "green", "undelivered": "red", "failed": "red"}


@dataclass(frozen=True, slots=True)
class View:
    """What is known of a text at one moment."""

    record: MessageRecord | None
    messages: list[PhoneMessage]
    waits_for: list[str]
    """What is not final yet."""


def _sid(value: str | None) -> str | None:
    if value is not None and not MESSAGE_SID.fullmatch(value):
        raise typer.BadParameter("must be SM or MM and 32 hex digits, as sms-router messages shows it")
    return value


def _url(value: str | None) -> str | None:
    if value is not None and not _URL.fullmatch(value):
        raise typer.BadParameter("must begin with http:// or https://, like http://127.0.0.1:8000")
    return value


def text(
    text: TextArgument,
    sender: Annotated[
        str, Option("--from", help="The contact's number.", callback=address_option)
    ] = DEFAULT_CONTACT,
    recipient: Annotated[
        str | None,
        Option("--to", help="Your number; default: a sender of the Service.", callback=address_option),
    ] = None,
    media: Annotated[list[str] | None, Option("--media", help="URL of a picture; may be repeated.")] = None,
    group: Annotated[
        list[str] | None, Option("--group", help="Another recipient of a group MMS; may be repeated.")
    ] = None,
    no_wait: Annotated[
        bool, Option("--no-wait", help="Do not wait for late replies, re-routed ones and receipts.")
    ] = False,
    sid: Annotated[
        str | None,
        Option("--sid", help="MessageSid, to send the webhook of the same message again.", callback=_sid),
    ] = None,
    url: Annotated[
        str | None,
        Option(
            "--url",
            help="URL of the router: it gets the webhook from this command; default: http://HOST:PORT.",
            callback=_url,
        ),
    ] = None,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask, with credentials of Twilio's.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Text the running router from a phone, and show what the phone gets.

    With the sandbox, the sandbox's phone sends it, and Twilio's part is the sandbox's: webhook, carriers,
    receipts. The command waits, a minute at most, until late replies, re-routed ones and receipts are final.

    With --sid, --url or credentials of Twilio's, this command sends the webhook in Twilio's place: its reply
    is shown here only. With credentials of Twilio's it asks first, because late replies and what handlers
    send leave by Twilio and cost money.
    """
    settings = settings_for_command(START_TIMEOUT)
    body = " ".join(text).encode("utf-8", "replace").decode()  # arguments may contain invalid bytes
    local = (url or settings.local_url).rstrip("/")
    if recipient is None:
        if not store_is_running(settings):
            raise CommandError(f"The router does not run at {local}.", START_HINT, URL_HINT)
        recipient = default_recipient(stored_pools(settings) or known_pools(settings).values())
    if not settings.uses_sandbox:
        confirm(
            f"A late reply to {sender}, and whatever a handler sends, leave by Twilio and cost money."
            " Text the router?",
            yes=yes,
            refusal="Nothing was sent.",
        )
    message = OutgoingText(sid, sender, recipient, body, tuple(media or ()), tuple(group or ()))
    with contextlib.ExitStack() as stack:
        journal = _Journal(settings, stack)
        earlier = journal.records(sid, sender)[:1] if sid is not None else []
        if not as_json:
            print_line(body, label=f"{sender} texts {recipient}: ", label_style="dim")
        status = stack.enter_context(stdout.status("Waiting for the answer ...", spinner=_spinner()))
        if as_json:
            status.stop()
        source = _send(settings, local, message, by_phone=not (url or sid), wait=not no_wait)
        screen = _Screen(status, is_shown=not as_json)
        try:
            for view in _views(source, journal, sender, wait=not no_wait):
                screen.show(view)
            code = 0
        except KeyboardInterrupt:
            code = 130
        status.stop()
        if as_json:
            print_json(screen.as_json(source.sid, message))
        else:
            screen.finish(source, earlier)
    raise typer.Exit(code)


def _send(
    settings: Settings, local: str, message: OutgoingText, *, by_phone: bool, wait: bool
) -> TextByPhone | TextByWebhook:
    """Text by the sandbox's phone, or by a webhook of this command's own."""
    _check_router(local, START_TIMEOUT if embedded_is_running(settings) else 0)
    if by_phone and settings.uses_sandbox and ":" not in message.sender + message.recipient:
        sandbox = settings.twilio.api_base_url or f"http://127.0.0.1:{settings.sandbox.port}"
        return TextByPhone(sandbox.rstrip("/"), message, wait=wait)
    from sms_router.cli.server.text_by_webhook import TextByWebhook  # noqa: PLC0415 (slow to import)

    return TextByWebhook(settings, local, message)


def _check_router(url: str, start_timeout: float) -> None:
    """Check that the router listens; wait ``start_timeout`` seconds for one that starts.

    Otherwise the sandbox would report a failed webhook, and the text be lost.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    deadline = time.monotonic() + start_timeout
    while True:
        try:
            with contextlib.suppress(TimeoutError, socket.gaierror):  # the request reports them
                socket.create_connection((parts.hostname or "", port), timeout=2).close()
        except OSError as error:
            if time.monotonic() >= deadline:
                raise CommandError(f"The router does not run at {url}.", START_HINT, URL_HINT) from error
            time.sleep(0.1)
        else:
            return


class _Journal:
    """The stored messages, where Redis is there to read them."""

    def __init__(self, settings: Settings, stack: contextlib.ExitStack) -> None:
        self._accounts = [account.sid for account in settings.accounts]
        self._reader: HistoryReader | None = None
        if store_is_running(settings):
            with contextlib.suppress(CommandError):  # a text can do without
                self._reader = HistoryReader(stack.enter_context(store_client(settings)))

    def records(self, sid: str, sender: str) -> list[MessageRecord]:
        """Return the record of a text, then those of messages that are no replies and came after it."""
        if self._reader is None:
            return []
        newest = self._reader.for_contact(contact_of(sender), MAX_RECORDS)
        until = (time.time() + MAX_WAIT) * 1000
        newer = [
            record
            for record in takewhile(lambda record: record.sid != sid, newest)
            if record.is_outbound and (record.due or 0) < until
        ]
        record = next((record for record in newest if record.sid == sid), None)
        if record is not None:
            return [record, *newer]
        found = self._reader.find(sid, self._accounts)
        return [found] if found is not None else []


def _views(
    source: TextByPhone | TextByWebhook, journal: _Journal, sender: str, *, wait: bool
) -> Iterator[View]:
    deadline = time.monotonic() + MAX_WAIT
    while True:
        records = journal.records(source.sid, sender)
        messages = source.messages(records)
        view = View(records[0] if records else None, messages, list(expected(records, messages)))
        yield view
        if not wait or not view.waits_for or time.monotonic() >= deadline:
            return
        if view.waits_for == [DELIVERY] and isinstance(source, TextByPhone) and source.stands_still:
            return
        time.sleep(READ_INTERVAL)


class _Screen:
    """Prints the messages, each once it is final."""

    def __init__(self, status: Status, *, is_shown: bool) -> None:
        self._status = status
        self._is_shown = is_shown
        self._printed: set[str] = set()
        self._view = View(None, [], [])

    def show(self, view: View) -> None:
        self._view = view
        if self._is_shown:
            self._print(only_final=True)
            if view.waits_for:
                self._status.update(f"Waiting for {' and '.join(view.waits_for)} ...")

    def _print(self, *, only_final: bool) -> None:
        for number, message in enumerate(self._view.messages):
            key = message.sid or str(number)
            is_ready = message.is_final and (message.rule is not None or not self._view.waits_for)
            if key not in self._printed and (is_ready or not only_final):
                self._printed.add(key)
                _print_message(message)

    def finish(self, source: TextByPhone | TextByWebhook, earlier: Sequence[MessageRecord]) -> None:
        """Print the messages that are not final, why there is none, and where to read on."""
        view = self._view
        self._print(only_final=False)
        if not view.messages:
            why = f"waiting for {view.waits_for[0]}" if view.waits_for else why_no_reply(view.record)
            print_line(f"(no reply) {why[0].upper()}{why[1:]}.")
        elif view.waits_for:
            print_line(f"Not final: {' and '.join(view.waits_for)}.")
        if earlier and earlier[0].outcome is not None:
            print_line(f"A duplicate: {earlier[0].rule} had answered this message before; nothing ran again.")
        for cause in view.record.causes if view.record is not None else ():
            print_line(f"A dead letter: {cause.text}")
        for alert in source.alerts():
            print_line(f"Twilio's debugger: {alert}")
        print_line(f"\n{program()} messages show {source.sid}")

    def as_json(self, sid: str, text: OutgoingText) -> dict[str, object]:
        view = self._view
        failed = [message for message in view.messages if message.has_failed]
        none = not view.messages and not view.waits_for
        return {
            "sid": sid,
            "from": text.sender,
            "to": text.recipient,
            "messages": [message.as_json() for message in view.messages if message not in failed],
            "undelivered": [message.as_json() for message in failed],
            "outcome": view.record.outcome if view.record is not None else None,
            "rule": view.record.rule if view.record is not None else None,
            "no_reply": why_no_reply(view.record) if none else None,
            "waits_for": view.waits_for,
        }


def _spinner() -> str:
    return "line" if stdout.options.ascii_only else "dots"


def _print_message(message: PhoneMessage) -> None:
    pictures = [plain(f"[picture] {url}", "cyan") for url in message.media]
    content = StyledText("\n").join([plain(message.body), *pictures] if message.body else pictures)
    status = message.status or "shown here only"
    if message.error_code is not None:
        status += f", error {message.error_code}"
    kind = "" if message.kind == "reply" else f", {message.kind}"
    stdout.print(
        Panel(
            content,
            title=plain(f"from {message.sender}{kind}"),
            title_align="left",
            subtitle=plain(
                f"{status}, {plural(message.segments, 'segment')}",
                _STYLES.get(status.partition(",")[0], "yellow"),
            ),
            subtitle_align="right",
            width=min(72, stdout.width),
        )
    )
    why = "; ".join(filter(None, [message.rule and f"rule {message.rule}", message.reason]))
    for line in (why, message.sid):
        if line:
            print_line(f"  {line}", "dim")
