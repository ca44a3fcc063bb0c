"""Parses TwiML as Twilio does (facts 4): bytes -> verbs, or the debugger's code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

_VOICE_VERBS = frozenset(
    {"Say", "Play", "Dial", "Gather", "Record", "Hangup", "Pause", "Reject", "Enqueue", "Leave", "Connect"}
)
_MESSAGE_ATTRIBUTES = frozenset({"to", "from", "statusCallback", "action", "method"})
_REDIRECT_ATTRIBUTES = frozenset({"method"})
_DECLARED_VERSION = re.compile(rb"<\?xml\s+version\s*=\s*[\"']([^\"']*)")


@dataclass(frozen=True, slots=True)
class MessageVerb:
    """``<Message>``, or ``<Sms>``, its old name (facts 11); None for missing attributes.

    Twilio's defaults are applied when it is executed.
    """

    body: str
    media: tuple[str, ...] = ()
    to: str | None = None
    sender: str | None = None
    status_callback: str | None = None
    action: str | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True)
class RedirectVerb:
    """``<Redirect>``; what follows it is ignored."""

    url: str
    method: str | None = None


@dataclass(frozen=True, slots=True)
class TwimlWarning:
    """Something that Twilio ignores with a warning."""

    code: int
    text: str


Verb = MessageVerb | RedirectVerb | TwimlWarning


@dataclass(frozen=True, slots=True)
class InvalidTwiml:
    """A document that cannot be executed, and the debugger's code for it."""

    code: int
    reason: str


def parse_twiml(body: bytes) -> tuple[Verb, ...] | InvalidTwiml:
    """Return the verbs of a document, from top to bottom."""
    version = _DECLARED_VERSION.match(body)
    if version and version[1] != b"1.0":
        return InvalidTwiml(12101, "the XML version is not 1.0")
    try:
        root = fromstring(body)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        return InvalidTwiml(12100, f"not well-formed XML: {error!r}")
    if root.tag != "Response":
        return InvalidTwiml(12102, f"the root is <{root.tag}>, not <Response>")
    return (*_unknown_attributes(root, frozenset()), *(verb for element in root for verb in _verbs(element)))


def _verbs(element: Element) -> Iterator[Verb]:
    if element.tag in ("Message", "Sms"):
        yield from _message(element)
    elif element.tag == "Redirect":
        yield from _unknown_attributes(element, _REDIRECT_ATTRIBUTES)
        yield RedirectVerb((element.text or "").strip(), element.get("method"))
    elif element.tag in _VOICE_VERBS:
        yield TwimlWarning(14110, f"<{element.tag}> cannot answer a message")
    else:
        yield TwimlWarning(12200, f"unknown verb <{element.tag}>")


def _message(element: Element) -> Iterator[Verb]:
    yield from _unknown_attributes(element, _MESSAGE_ATTRIBUTES)
    for noun in element:
        if noun.tag not in ("Body", "Media"):
            yield TwimlWarning(12200, f"unknown noun <{noun.tag}> in <{element.tag}>")
    yield MessageVerb(
        body=_body(element),
        media=tuple((noun.text or "").strip() for noun in element.iterfind("Media")),
        to=element.get("to"),
        sender=element.get("from"),
        status_callback=element.get("statusCallback"),
        action=element.get("action"),
        method=element.get("method"),
    )


def _unknown_attributes(element: Element, known: frozenset[str]) -> Iterator[TwimlWarning]:
    """Warn of unknown attributes; those of a namespace, such as a schema's, are not TwiML."""
    for name in sorted(set(element.keys()) - known):
        if not name.startswith("{"):
            yield TwimlWarning(12200, f"unknown attribute {name} in <{element.tag}>")


def _body(element: Element) -> str:
    """Join the text outside of nouns and every ``<Body>``; white space between nouns is layout, not text."""
    texts = [element.text or ""]
    for noun in element:
        if noun.tag == "Body":
            texts.append("".join(noun.itertext()))
        texts.append(noun.tail or "")
    return "".join(text for text in texts if text.strip())
