"""Parses the TwiML response of another application as Twilio does (facts 1.5, 4)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

MAX_PAGE_BYTES = 65_536
"""Facts 1.5, 11750."""

EMPTY_PAGE = 11770
"""The debugger's error code of an empty page."""

_TWIML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})
_UNSUITABLE_CODECS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})
"""Codecs of Python that are no charsets: some always raise, one is quadratic in the size of a page."""

_DECLARED_VERSION = re.compile(rb"""\s*<\?xml\s+version\s*=\s*["']([^"']*)""")
_DECLARES_ENCODING = re.compile(rb"""\s*<\?xml[^>]*\sencoding\s*=""")


@dataclass(frozen=True, slots=True)
class SendMessage:
    """``<Message>``, or ``<Sms>``, its old name (facts 11); None for an attribute that is missing."""

    body: str
    media: tuple[str, ...] = ()
    recipient: str | None = None
    """``to``"""
    sender: str | None = None
    """``from``"""


@dataclass(frozen=True, slots=True)
class Redirect:
    """``<Redirect>``."""

    address: str
    """The URL of the next document, which may be relative."""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Document:
    """The verbs of a page: the messages, then the redirect if there is one."""

    messages: tuple[SendMessage, ...] = ()
    redirect: Redirect | None = None
    warnings: tuple[str, ...] = ()
    """Verbs, nouns and attributes that are ignored, each as a sentence."""
    ignored_verbs: tuple[str, ...] = ()
    """Tags that are no verbs of messaging, such as ``Say`` and ``message``."""


@dataclass(frozen=True, slots=True)
class TwimlError:
    """Why a page cannot be executed, with the error code of Twilio's debugger (facts 3)."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class HttpPage:
    """A complete HTTP response."""

    status: int
    media_type: str
    """In lower case, without parameters; empty if the response has no Content-Type."""
    charset: str | None
    body: bytes


def parse_response(page: HttpPage) -> Document | TwimlError:
    """Return the verbs of a page. A 204 has none, and a ``text/plain`` page is the text of one message."""
    if page.status == 204:
        return Document()
    if not page.body:
        return TwimlError(EMPTY_PAGE, "the response is empty; to send nothing, respond with <Response/>")
    if not page.media_type:
        return TwimlError(11200, "the response has no Content-Type")
    if page.media_type == "text/plain":
        text = _decode(page.body, page.charset or "utf-8").strip()
        return Document((SendMessage(text),) if text else ())
    if page.media_type not in _TWIML_TYPES:
        return TwimlError(12300, f"the Content-Type {page.media_type:.80} cannot be executed")
    return parse_twiml(page.body, page.charset)


def parse_twiml(body: bytes, charset: str | None = None) -> Document | TwimlError:
    """Parse a document; ``charset`` is used if the document does not declare its encoding.

    Entities are refused, so that nothing is expanded and nothing is fetched.
    """
    version = _DECLARED_VERSION.match(body)
    if version and version[1] != b"1.0":
        return TwimlError(12101, "the XML version is not 1.0")
    try:
        use_charset = charset is not None and not _DECLARES_ENCODING.match(body)
        root = fromstring(_decode(body, charset or "utf-8") if use_charset else body)
    except DefusedXmlException:
        return TwimlError(12100, "the document declares entities")
    except (ParseError, ValueError, LookupError) as error:
        return TwimlError(12100, f"not well-formed XML: {error!s:.120}")
    if root.tag != "Response":
        return TwimlError(12102, f"the root is <{root.tag:.40}>, not <Response>")
    return _document(root)


def _decode(body: bytes, charset: str) -> str:
    try:
        name = codecs.lookup(charset).name
        return body.decode("utf-8" if name.replace("-", "_") in _UNSUITABLE_CODECS else name, "replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace")


def _document(root: Element) -> Document:
    messages: list[SendMessage] = []
    warnings: list[str] = []
    ignored: list[str] = []
    redirect = None
    for verb in root:
        if verb.tag == "Redirect":
            redirect = Redirect((verb.text or "").strip(), _method(verb, warnings))
            break
        if verb.tag in _MESSAGE_TAGS:
            messages.append(_message(verb, warnings))
        else:
            ignored.append(f"{verb.tag:.40}")
            warnings.append(f"<{verb.tag:.40}> is no messaging verb and is ignored")
    return Document(tuple(messages), redirect, tuple(warnings), tuple(ignored))


def _message(verb: Element, warnings: list[str]) -> SendMessage:
    warnings += [
        f"{name} of <{verb.tag}> is ignored: status callbacks go to the router"
        for name in ("action", "statusCallback")
        if verb.get(name)
    ]
    warnings += [
        f"<{noun.tag:.40}> in <{verb.tag}> is unknown and is ignored"
        for noun in verb
        if noun.tag not in _NOUNS
    ]
    media = ((noun.text or "").strip() for noun in verb.iterfind("Media"))
    return SendMessage(
        body="".join(_texts(verb)).strip(),
        media=tuple(url for url in media if url),
        recipient=verb.get("to") or None,
        sender=verb.get("from") or None,
    )


_MESSAGE_TAGS = ("Message", "Sms")
_NOUNS = ("Body", "Media")


def _texts(verb: Element) -> Iterator[str]:
    """Yield the text of a verb and of every ``<Body>`` in it; white space between nouns is ignored."""
    if (verb.text or "").strip():
        yield verb.text or ""
    for noun in verb:
        if noun.tag == "Body":
            yield "".join(noun.itertext())
        if (noun.tail or "").strip():
            yield noun.tail or ""


def _method(verb: Element, warnings: list[str]) -> str:
    method = verb.get("method", "POST")
    if method not in ("GET", "POST"):
        warnings.append(f"the method {method:.20} of <Redirect> is neither GET nor POST; POST is used")
        return "POST"
    return method
