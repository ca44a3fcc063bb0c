"""TwiML as Twilio reads it (facts 4): bytes in, verbs out, or the debugger's code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

_VOICE_VERBS = frozenset(
    {"Say", "Play", "Dial", "Gather", "Record", "Hangup", "Pause", "Reject", "Enqueue", "Leave", "Connect"}
)
_MESSAGE_ATTRIBUTES = frozenset({"to", "from", "statusCallback", "action", "method"})


@dataclass(frozen=True, slots=True)
class SendMessage:
    """``<Message>``. What was not written is None; Twilio's defaults are for whoever executes it."""

    body: str
    media: tuple[str, ...] = ()
    to: str | None = None
    sender: str | None = None
    status_callback: str | None = None
    action: str | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True)
class Redirect:
    """``<Redirect>``; everything after it is ignored."""

    url: str
    method: str | None = None


@dataclass(frozen=True, slots=True)
class Warn:
    """Something that Twilio passes over with a warning."""

    code: int
    text: str


Verb = SendMessage | Redirect | Warn


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document that cannot be executed, and the debugger's code for it."""

    code: int
    reason: str


def read_twiml(body: bytes) -> tuple[Verb, ...] | Unreadable:
    """Return the verbs of a document, from top to bottom."""
    try:
        root = fromstring(body)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        return Unreadable(12100, f"not well-formed XML: {error!r}")
    if root.tag != "Response":
        return Unreadable(12102, f"the root is <{root.tag}>, not <Response>")
    return tuple(verb for element in root for verb in _verbs(element))


def _verbs(element: Element) -> Iterator[Verb]:
    if element.tag == "Message":
        yield from _message(element)
    elif element.tag == "Redirect":
        yield Redirect((element.text or "").strip(), element.get("method"))
    elif element.tag in _VOICE_VERBS:
        yield Warn(14110, f"<{element.tag}> cannot answer a message")
    else:
        yield Warn(12200, f"unknown verb <{element.tag}>")


def _message(element: Element) -> Iterator[Verb]:
    for name in sorted(set(element.keys()) - _MESSAGE_ATTRIBUTES):
        yield Warn(12200, f"unknown attribute {name} in <Message>")
    for noun in element:
        if noun.tag not in ("Body", "Media"):
            yield Warn(12200, f"unknown noun <{noun.tag}> in <Message>")
    yield SendMessage(
        body=_body(element),
        media=tuple((noun.text or "").strip() for noun in element.iterfind("Media")),
        to=element.get("to"),
        sender=element.get("from"),
        status_callback=element.get("statusCallback"),
        action=element.get("action"),
        method=element.get("method"),
    )


def _body(element: Element) -> str:
    """Join the loose text and every ``<Body>``; white space between nouns is layout, not text."""
    texts = [element.text or ""]
    for noun in element:
        if noun.tag == "Body":
            texts.append("".join(noun.itertext()))
        texts.append(noun.tail or "")
    return "".join(text for text in texts if text.strip())
