"""``sms-router text``: a signed text to a running router, and its answer as a phone shows it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode
from uuid import uuid4

import requests
import typer
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
from rich.panel import Panel
from rich.text import Text as Styled

from sms_router.cli.context import START, embedded_runs, settings_for_command, store_is_running
from sms_router.cli.output import (
    AsJson,
    CommandError,
    WhatIsTexted,
    address,
    plain,
    plural,
    print_json,
    stderr,
    stdout,
)
from sms_router.cli.senders.pools import stored_pools, usual_recipient
from sms_router.config.models import AccountSettings
from sms_router.config.settings import Settings
from sms_router.senders.country import country_of
from sms_router.senders.pool import Pool
from sms_router.twilio.inbound import MESSAGE_SID
from sms_router.twilio.segments import count_segments
from sms_router.twilio.signature import sign

DEFAULT_PHONE = "+14155550123"
PATIENCE = 16.0
"""Seconds; Twilio itself gives up after 15 (facts 1.4)."""

STARTS_WITHIN = 5.0
"""Seconds given to a router that has announced itself and is about to listen."""

ELSEWHERE = "If it listens elsewhere, say where, as in PORT=8001 or --url http://127.0.0.1:8001."

_URL = re.compile(r"https?://[^/\s]\S*")


@dataclass(frozen=True, slots=True)
class OutgoingText:
    """What the person sends."""

    sid: str | None
    sender: str
    recipient: str
    words: str
    media: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bubble:
    """One message as it shows on a phone."""

    sender: str
    body: str
    media: tuple[str, ...]

    @property
    def segments(self) -> int:
        """How many segments the text is billed as."""
        return count_segments(self.body).count


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("text")(text)


def _sid(value: str | None) -> str | None:
    if value is not None and not MESSAGE_SID.fullmatch(value):
        raise typer.BadParameter(
            "a MessageSid is SM or MM and 32 hex digits, as sms-router messages shows it"
        )
    return value


def _url(value: str | None) -> str | None:
    if value is not None and not _URL.fullmatch(value):
        raise typer.BadParameter("a URL begins with http:// or https://, like http://127.0.0.1:8000")
    return value


def text(
    text: WhatIsTexted,
    sender: Annotated[
        str, typer.Option("--from", help="The person's number.", callback=address)
    ] = DEFAULT_PHONE,
    recipient: Annotated[
        str | None,
        typer.Option(
            "--to", help="The number of yours that is texted; default: one of the Service.", callback=address
        ),
    ] = None,
    media: Annotated[list[str] | None, typer.Option("--media", help="URL of a picture; repeatable.")] = None,
    sid: Annotated[
        str | None, typer.Option("--sid", help="MessageSid, to deliver a message again.", callback=_sid)
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Where the router listens; default http://HOST:PORT.", callback=_url),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a signed text to the running router, and show its answer.

    The router gets what Twilio would send, and the answer is shown as the person's phone would.
    """
    settings = settings_for_command()
    # A terminal may hand over bytes that are no text.
    words = " ".join(text).encode("utf-8", "replace").decode()
    local = (url or settings.local_url).rstrip("/")
    if recipient is None:
        if not store_is_running(settings):
            raise CommandError(f"The router does not run at {local}.", START, ELSEWHERE)
        recipient = usual_recipient(stored_pools(settings))
    message = OutgoingText(sid, sender, recipient, words, tuple(media or ()))
    account, service_sid = addressee(settings, recipient)
    parameters = _webhook(account.sid, service_sid, message)
    response = _deliver(settings, account, local, parameters)
    if response.status_code != 200:
        raise CommandError(*_refused(response.status_code))
    bubbles = _bubbles(response, recipient)
    if as_json:
        print_json(
            {
                "sid": parameters["MessageSid"],
                "from": sender,
                "to": recipient,
                "messages": [
                    {
                        "from": each.sender,
                        "body": each.body,
                        "media": list(each.media),
                        "segments": each.segments,
                    }
                    for each in bubbles
                ],
            }
        )
        return
    _show(sender, recipient, words, bubbles)


def addressee(settings: Settings, recipient: str) -> tuple[AccountSettings, str | None]:
    """Return the account and the Service that a number belongs to; the first ones when nobody knows."""
    service = next(iter(settings.services), None)
    if len(settings.services) > 1:
        holding = next((pool.service_sid for pool in _pools(settings) if pool.holds(recipient)), None)
        service = settings.service(holding) or service
    if service is None:
        return settings.accounts[0], None
    return settings.account(service.account), service.sid


def _pools(settings: Settings) -> list[Pool]:
    """Return what is known of the Services; nothing while the store is away: a text needs none of it."""
    try:
        return stored_pools(settings) if store_is_running(settings) else []
    except CommandError:
        return []


def _webhook(account_sid: str, service_sid: str | None, text: OutgoingText) -> dict[str, str]:
    """Return what Twilio would send about this text (facts 1.2)."""
    sid = text.sid or ("MM" if text.media else "SM") + uuid4().hex
    country = country_of(text.sender, None) or ""
    parameters = {
        "ToCountry": country_of(text.recipient, None) or country,
        "SmsMessageSid": sid,
        "NumMedia": str(len(text.media)),
        "SmsSid": sid,
        "SmsStatus": "received",
        "FromCountry": country,
        "Body": text.words,
        "To": text.recipient,
        "NumSegments": str(count_segments(text.words).count),
        "MessageSid": sid,
        "AccountSid": account_sid,
        "From": text.sender,
        "ApiVersion": "2010-04-01",
    }
    if service_sid is not None:
        parameters["MessagingServiceSid"] = service_sid
    for number, each in enumerate(text.media):
        parameters[f"MediaUrl{number}"] = each
        parameters[f"MediaContentType{number}"] = "image/jpeg"
    return parameters


def _deliver(
    settings: Settings, account: AccountSettings, local: str, parameters: dict[str, str]
) -> requests.Response:
    public = settings.router.public_url or local  # a router that was not told its URL takes this one
    signed = sign(f"{public}/sms", list(parameters.items()), account.tokens[0])
    headers = {
        "X-Twilio-Signature": signed,
        "I-Twilio-Idempotency-Token": str(uuid4()),
        "User-Agent": "TwilioProxy/1.1",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = urlencode(parameters).encode()
    try:
        with stderr.status("Waiting for the answer ..."):
            return _posted(f"{local}/sms", body, headers, STARTS_WITHIN if embedded_runs(settings) else 0)
    except requests.Timeout as error:
        raise CommandError(
            f"The router at {local} did not answer in {PATIENCE:.0f} seconds; Twilio would have given up.",
            "Its log says why; inline_deadline in router.toml should be below 13 seconds.",
        ) from error
    except requests.RequestException as error:
        if _nobody_listens(error):
            raise CommandError(f"The router does not run at {local}.", START, ELSEWHERE) from error
        raise CommandError(
            f"The router at {local} gave no answer: {error}", "Its log says why.", ELSEWHERE
        ) from error


def _posted(url: str, body: bytes, headers: Mapping[str, str], starts_within: float) -> requests.Response:
    """Post a request; a server that does not listen yet gets a few seconds."""
    patience_ends = time.monotonic() + starts_within
    while True:
        try:
            return requests.post(url, data=body, headers=headers, timeout=PATIENCE)
        except requests.ConnectionError as error:
            if not _nobody_listens(error) or time.monotonic() >= patience_ends:
                raise
        time.sleep(0.1)


def _nobody_listens(error: BaseException | None) -> bool:
    """Tell whether a connection was refused, whatever the error was wrapped into."""
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__ or error.__context__
    return error is not None


def _refused(status: int) -> tuple[str, ...]:
    if status == 403:
        return (
            "The router refused the signature (403).",
            "It runs with another TWILIO_AUTH_TOKEN or PUBLIC_URL than this command: its log says which one.",
        )
    if status == 502:
        return ("The handler failed and the router asks Twilio to call the fallback (502).",)
    return (
        f"The router answered {status}.",
        "Its log says why, unless another program listens there.",
        ELSEWHERE,
    )


def _bubbles(response: requests.Response, recipient: str) -> list[Bubble]:
    try:
        root = fromstring(response.content)
    except (ParseError, DefusedXmlException) as error:
        raise CommandError(f"The answer is not TwiML: {error}") from error
    return [
        Bubble(
            message.get("from", recipient),
            "".join([message.text or "", *(body.text or "" for body in message.findall("Body"))]).strip(),
            tuple((each.text or "").strip() for each in message.findall("Media")),
        )
        for message in root.findall("Message")
    ]


def _show(sender: str, recipient: str, words: str, bubbles: list[Bubble]) -> None:
    stdout.print(plain(f"{sender} texts {recipient}: ", "dim") + plain(words))
    if not bubbles:
        stdout.print("(no answer: the router says nothing)")
    for each in bubbles:
        pictures = [plain(f"[picture] {url}", "cyan") for url in each.media]
        content = Styled("\n").join([plain(each.body), *pictures] if each.body else pictures)
        subtitle = plural(each.segments, "segment")
        title = plain(f"from {each.sender}")
        stdout.print(
            Panel(
                content,
                title=title,
                title_align="left",
                subtitle=subtitle,
                subtitle_align="right",
                width=min(72, stdout.width),
            )
        )
