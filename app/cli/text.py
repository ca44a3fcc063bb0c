"""``sms-router text``: a signed text to a running router, and its answer as a phone shows it."""

from __future__ import annotations

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

from app.cli.pools import stored_pools, usual_recipient
from app.cli.situation import settings_for_command
from app.cli.speaking import AsJson, CommandError, out, print_json
from app.senders.country import country_of
from app.settings import Settings
from app.twilio.segments import count_segments
from app.twilio.signature import sign

DEFAULT_PHONE = "+14155550123"
PATIENCE = 16.0
"""Seconds; Twilio itself gives up after 15 (facts 1.4)."""


@dataclass(frozen=True, slots=True)
class Text:
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


def text(
    words: Annotated[str, typer.Argument(metavar="TEXT", help="What the person texts.")],
    sender: Annotated[str, typer.Option("--from", help="The person's number.")] = DEFAULT_PHONE,
    recipient: Annotated[
        str | None,
        typer.Option("--to", help="The number of yours that is texted; a short code of the Service."),
    ] = None,
    media: Annotated[list[str] | None, typer.Option("--media", help="URL of a picture; repeatable.")] = None,
    sid: Annotated[str | None, typer.Option("--sid", help="MessageSid, to deliver a message again.")] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Where the router listens; default http://HOST:PORT.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a signed text to the running router, as Twilio would, and show the answer as a phone would."""
    settings = settings_for_command()
    recipient = recipient or usual_recipient(stored_pools(settings))
    message = Text(sid, sender, recipient, words, tuple(media or ()))
    parameters = _webhook(settings, message)
    response = _deliver(settings, url, parameters)
    if response.status_code != 200:
        raise CommandError(*_refused(response.status_code))
    bubbles = _bubbles(response, recipient)
    if as_json:
        print_json(
            {
                "sid": parameters["MessageSid"],
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


def _webhook(settings: Settings, text: Text) -> dict[str, str]:
    """Return what Twilio would send about this text (facts 1.2)."""
    service = settings.services[0].sid if settings.services else ""
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
        "AccountSid": settings.accounts[0].sid,
        "From": text.sender,
        "ApiVersion": "2010-04-01",
    }
    if service:
        parameters["MessagingServiceSid"] = service
    for number, each in enumerate(text.media):
        parameters[f"MediaUrl{number}"] = each
        parameters[f"MediaContentType{number}"] = "image/jpeg"
    return parameters


def _deliver(settings: Settings, url: str | None, parameters: dict[str, str]) -> requests.Response:
    local = (url or f"http://{_reachable(settings.server.host)}:{settings.server.port}").rstrip("/")
    signed = sign(f"{settings.public_url}/sms", list(parameters.items()), settings.accounts[0].tokens[0])
    headers = {
        "X-Twilio-Signature": signed,
        "I-Twilio-Idempotency-Token": str(uuid4()),
        "User-Agent": "TwilioProxy/1.1",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    try:
        return requests.post(
            f"{local}/sms", data=urlencode(parameters).encode(), headers=headers, timeout=PATIENCE
        )
    except requests.RequestException as error:
        raise CommandError(
            f"The router does not answer at {local}: {type(error).__name__}",
            "Start it in another terminal: make run",
        ) from error


def _reachable(host: str) -> str:
    host = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104
    return f"[{host}]" if ":" in host else host


def _refused(status: int) -> tuple[str, ...]:
    if status == 403:
        return (
            "The router refused the signature (403).",
            "It runs with another TWILIO_AUTH_TOKEN or PUBLIC_URL than this command: its log says which one.",
        )
    if status == 502:
        return ("The handler failed and the router asks Twilio to call the fallback (502).",)
    return (f"The router answered {status}.", "Its log says why.")


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
    out.print(Styled(f"{sender} texts {recipient}: ", style="dim") + Styled(words))
    if not bubbles:
        out.print("(no answer: the router says nothing)")
    for each in bubbles:
        content = Styled(each.body)
        for picture in each.media:
            content.append(f"\n[picture] {picture}", style="cyan")
        subtitle = f"{each.segments} segment" + ("s" if each.segments != 1 else "")
        title = f"from {each.sender}"
        out.print(
            Panel(
                content,
                title=title,
                title_align="left",
                subtitle=subtitle,
                subtitle_align="right",
                width=min(72, out.width),
            )
        )
