"""``sms-router text``: send a signed text to a running router, and show the reply as a phone does."""

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
from rich.text import Text as StyledText

from sms_router.cli.context import START_HINT, embedded_is_running, settings_for_command, store_is_running
from sms_router.cli.output import (
    CommandError,
    JsonOption,
    TextArgument,
    address_option,
    plain,
    plural,
    print_json,
    stderr,
    stdout,
)
from sms_router.cli.senders.pools import default_recipient, stored_pools
from sms_router.config.models import AccountSettings
from sms_router.config.settings import Settings
from sms_router.senders.country import country_of
from sms_router.senders.pool import Pool
from sms_router.twilio.bounded_adapter import BoundedAdapter
from sms_router.twilio.inbound import MESSAGE_SID
from sms_router.twilio.segments import count_segments
from sms_router.twilio.signature import sign

DEFAULT_CONTACT = "+14155550123"
ANSWER_TIMEOUT = 16.0
"""Seconds; Twilio's is 15 (facts 1.4)."""

START_TIMEOUT = 5.0
"""Seconds to wait for a router that is starting."""

URL_HINT = "If it listens on another address, use PORT=8001 or --url http://127.0.0.1:8001."

_URL = re.compile(r"https?://[^/\s]\S*")


@dataclass(frozen=True, slots=True)
class OutgoingText:
    """The text that the contact sends."""

    sid: str | None
    sender: str
    recipient: str
    body: str
    media: tuple[str, ...]
    group: tuple[str, ...] = ()
    """The other recipients of a group MMS."""


@dataclass(frozen=True, slots=True)
class ReplyMessage:
    """One message as the phone shows it."""

    sender: str
    body: str
    media: tuple[str, ...]

    @property
    def segments(self) -> int:
        """Segments that Twilio bills for the text."""
        return count_segments(self.body).count


def register(commands: typer.Typer) -> None:
    commands.command("text")(text)


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
        str, typer.Option("--from", help="The contact's number.", callback=address_option)
    ] = DEFAULT_CONTACT,
    recipient: Annotated[
        str | None,
        typer.Option("--to", help="Your number; default: a sender of the Service.", callback=address_option),
    ] = None,
    media: Annotated[
        list[str] | None, typer.Option("--media", help="URL of a picture; may be repeated.")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", help="Another recipient of a group MMS; may be repeated."),
    ] = None,
    sid: Annotated[
        str | None, typer.Option("--sid", help="MessageSid, to send the same message again.", callback=_sid)
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="URL of the router; default: http://HOST:PORT.", callback=_url),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send a signed text to the running router and show its reply.

    The router receives the webhook that Twilio would send, and the reply is shown as on the contact's phone.
    """
    settings = settings_for_command()
    body = " ".join(text).encode("utf-8", "replace").decode()  # arguments may contain invalid bytes
    local = (url or settings.local_url).rstrip("/")
    if recipient is None:
        if not store_is_running(settings):
            raise CommandError(f"The router does not run at {local}.", START_HINT, URL_HINT)
        recipient = default_recipient(stored_pools(settings))
    message = OutgoingText(sid, sender, recipient, body, tuple(media or ()), tuple(group or ()))
    account, service_sid = account_of(settings, recipient)
    parameters = _webhook_parameters(account.sid, service_sid, message)
    response = _send(settings, account, local, parameters)
    if response.status_code != 200:
        raise CommandError(*_describe_status(response.status_code))
    messages = _parse_twiml(response, recipient)
    if as_json:
        print_json(
            {
                "sid": parameters["MessageSid"],
                "from": sender,
                "to": recipient,
                "messages": [
                    {
                        "from": received.sender,
                        "body": received.body,
                        "media": list(received.media),
                        "segments": received.segments,
                    }
                    for received in messages
                ],
            }
        )
        return
    _print_messages(sender, recipient, body, messages)


def account_of(settings: Settings, recipient: str) -> tuple[AccountSettings, str | None]:
    """Return the account and the Service of a number; the first configured ones when it is not known."""
    service = next(iter(settings.services), None)
    if len(settings.services) > 1:
        sid = next((pool.service_sid for pool in _known_pools(settings) if pool.holds(recipient)), None)
        service = settings.service(sid) or service
    if service is None:
        return settings.accounts[0], None
    return settings.account(service.account), service.sid


def _known_pools(settings: Settings) -> list[Pool]:
    """Return the stored Sender Pools; none while Redis is not available, because a text can do without."""
    try:
        return stored_pools(settings) if store_is_running(settings) else []
    except CommandError:
        return []


def _webhook_parameters(account_sid: str, service_sid: str | None, text: OutgoingText) -> dict[str, str]:
    """Return the parameters of Twilio's webhook for a text (facts 1.2)."""
    sid = text.sid or ("MM" if text.media or text.group else "SM") + uuid4().hex
    country = country_of(text.sender, None) or ""
    parameters = {
        "ToCountry": country_of(text.recipient, None) or country,
        "SmsMessageSid": sid,
        "NumMedia": str(len(text.media)),
        "SmsSid": sid,
        "SmsStatus": "received",
        "FromCountry": country,
        "Body": text.body,
        "To": text.recipient,
        "NumSegments": str(count_segments(text.body).count),
        "MessageSid": sid,
        "AccountSid": account_sid,
        "From": text.sender,
        "ApiVersion": "2010-04-01",
    }
    if service_sid is not None:
        parameters["MessagingServiceSid"] = service_sid
    for number, media_url in enumerate(text.media):
        parameters[f"MediaUrl{number}"] = media_url
        parameters[f"MediaContentType{number}"] = "image/jpeg"
    parameters |= {f"OtherRecipients{number}": other for number, other in enumerate(text.group)}
    return parameters


def _send(
    settings: Settings, account: AccountSettings, local: str, parameters: dict[str, str]
) -> requests.Response:
    public = settings.router.public_url or local  # the default of a router without PUBLIC_URL
    signature = sign(f"{public}/sms", list(parameters.items()), account.tokens[0])
    headers = {
        "X-Twilio-Signature": signature,
        "I-Twilio-Idempotency-Token": str(uuid4()),
        "User-Agent": "TwilioProxy/1.1",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = urlencode(parameters).encode()
    try:
        with stderr.status("Waiting for the answer ..."):
            return _post(f"{local}/sms", body, headers, START_TIMEOUT if embedded_is_running(settings) else 0)
    except requests.Timeout as error:
        raise CommandError(
            f"The router at {local} did not answer within {ANSWER_TIMEOUT:.0f} s; Twilio's timeout is 15 s.",
            "See its log; inline_deadline in router.toml should be below 13 seconds.",
        ) from error
    except requests.RequestException as error:
        if _is_refused_connection(error):
            raise CommandError(f"The router does not run at {local}.", START_HINT, URL_HINT) from error
        raise CommandError(
            f"The router at {local} did not answer: {error}", "See its log.", URL_HINT
        ) from error


def _post(url: str, body: bytes, headers: Mapping[str, str], start_timeout: float) -> requests.Response:
    """Post a request; repeat it for ``start_timeout`` seconds while the connection is refused."""
    deadline = time.monotonic() + start_timeout
    while True:
        try:
            with requests.Session() as session:
                session.mount("http://", BoundedAdapter(ANSWER_TIMEOUT))
                return session.post(url, data=body, headers=headers, timeout=ANSWER_TIMEOUT)
        except requests.ConnectionError as error:
            if not _is_refused_connection(error) or time.monotonic() >= deadline:
                raise
        time.sleep(0.1)


def _is_refused_connection(error: BaseException | None) -> bool:
    """Tell whether ConnectionRefusedError is among the causes."""
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__ or error.__context__
    return error is not None


def _describe_status(status: int) -> tuple[str, ...]:
    if status == 403:
        return (
            "The router refused the signature (403).",
            "Its TWILIO_AUTH_TOKEN or PUBLIC_URL differs from this command's: see its log.",
        )
    if status == 502:
        return ("The handler failed, and the router makes Twilio call the fallback URL (502).",)
    return (
        f"The router answered {status}.",
        "See its log, unless another program listens there.",
        URL_HINT,
    )


def _parse_twiml(response: requests.Response, recipient: str) -> list[ReplyMessage]:
    try:
        root = fromstring(response.content)
    except (ParseError, DefusedXmlException) as error:
        raise CommandError(f"The answer is not TwiML: {error}") from error
    return [
        ReplyMessage(
            message.get("from", recipient),
            "".join([message.text or "", *(body.text or "" for body in message.findall("Body"))]).strip(),
            tuple((media.text or "").strip() for media in message.findall("Media")),
        )
        for message in root.findall("Message")
    ]


def _print_messages(sender: str, recipient: str, body: str, messages: list[ReplyMessage]) -> None:
    stdout.print(plain(f"{sender} texts {recipient}: ", "dim") + plain(body))
    if not messages:
        stdout.print("(no reply)")
    for message in messages:
        pictures = [plain(f"[picture] {url}", "cyan") for url in message.media]
        content = StyledText("\n").join([plain(message.body), *pictures] if message.body else pictures)
        subtitle = plural(message.segments, "segment")
        title = plain(f"from {message.sender}")
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
