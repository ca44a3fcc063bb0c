"""TwiML that another application answers, read as Twilio reads it (facts 1.5, 4)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

LARGEST_PAGE = 65_536
"""Bytes (facts 1.5, 11750)."""

EMPTY_PAGE = 11770
"""The debugger's code for a page without anything in it."""

_TWIML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})
_NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})
"""Python's own, which no server means: some raise whatever comes, one takes a page's length squared."""

_DECLARED_VERSION = re.compile(rb"""\s*<\?xml\s+version\s*=\s*["']([^"']*)""")
_DECLARES_ENCODING = re.compile(rb"""\s*<\?xml[^>]*\sencoding\s*=""")


@dataclass(frozen=True, slots=True)
class SendMessage:
    """``<Message>``; None where it leaves something to Twilio's defaults."""

    body: str
    media: tuple[str, ...] = ()
    recipient: str | None = None
    """``to``"""
    sender: str | None = None
    """``from``"""


@dataclass(frozen=True, slots=True)
class Redirect:
    """``<Redirect>``: the next document's address, which may be relative, and how it is asked for."""

    address: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Document:
    """What a page wants done: the messages, then the redirect if there is one."""

    messages: tuple[SendMessage, ...] = ()
    redirect: Redirect | None = None
    warnings: tuple[str, ...] = ()
    """What was passed over, in words."""


@dataclass(frozen=True, slots=True)
class TwimlError:
    """A page that cannot be executed, with the debugger's code (facts 3)."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class HttpPage:
    """What a server answered."""

    status: int
    media_type: str
    """In lower case, without its parameters; empty when the server named none."""
    charset: str | None
    body: bytes


def parse_response(page: HttpPage) -> Document | TwimlError:
    """Return what a page wants done. 204 says nothing, and ``text/plain`` is a message by itself."""
    if page.status == 204:
        return Document()
    if not page.body:
        return TwimlError(EMPTY_PAGE, "the answer is empty; say nothing with <Response/>")
    if not page.media_type:
        return TwimlError(11200, "the answer has no Content-Type")
    if page.media_type == "text/plain":
        text = _decoded(page.body, page.charset or "utf-8").strip()
        return Document((SendMessage(text),) if text else ())
    if page.media_type not in _TWIML_TYPES:
        return TwimlError(12300, f"the Content-Type {page.media_type:.80} cannot be executed")
    return read_twiml(page.body, page.charset)


def read_twiml(body: bytes, charset: str | None = None) -> Document | TwimlError:
    """Read a document; ``charset`` counts where the document does not declare its encoding.

    Entities are refused, so that nothing can grow and nothing is fetched.
    """
    version = _DECLARED_VERSION.match(body)
    if version and version[1] != b"1.0":
        return TwimlError(12101, "the XML version is not 1.0")
    try:
        told = charset is not None and not _DECLARES_ENCODING.match(body)
        root = fromstring(_decoded(body, charset or "utf-8") if told else body)
    except DefusedXmlException:
        return TwimlError(12100, "the document declares entities")
    except (ParseError, ValueError, LookupError) as error:
        return TwimlError(12100, f"not well-formed XML: {error!s:.120}")
    if root.tag != "Response":
        return TwimlError(12102, f"the root is <{root.tag:.40}>, not <Response>")
    return _document(root)


def _decoded(body: bytes, charset: str) -> str:
    try:
        name = codecs.lookup(charset).name
        return body.decode("utf-8" if name.replace("-", "_") in _NO_CHARSETS else name, "replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace")


def _document(root: Element) -> Document:
    messages: list[SendMessage] = []
    warnings: list[str] = []
    for verb in root:
        if verb.tag == "Redirect":
            redirect = Redirect((verb.text or "").strip(), _method(verb, warnings))
            return Document(tuple(messages), redirect, tuple(warnings))
        if verb.tag == "Message":
            messages.append(_message(verb, warnings))
        else:
            warnings.append(f"<{verb.tag:.40}> is no verb for messages")
    return Document(tuple(messages), None, tuple(warnings))


def _message(verb: Element, warnings: list[str]) -> SendMessage:
    warnings += [
        f"{name} of <Message> is not heeded: receipts come to the router"
        for name in ("action", "statusCallback")
        if verb.get(name)
    ]
    warnings += [f"<{noun.tag:.40}> in <Message> is unknown" for noun in verb if noun.tag not in _NOUNS]
    media = ((noun.text or "").strip() for noun in verb.iterfind("Media"))
    return SendMessage(
        body="".join(_texts(verb)).strip(),
        media=tuple(url for url in media if url),
        recipient=verb.get("to") or None,
        sender=verb.get("from") or None,
    )


_NOUNS = ("Body", "Media")


def _texts(verb: Element) -> Iterator[str]:
    """Yield the loose text and every ``<Body>``; white space between nouns is layout."""
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
        warnings.append(f"the method {method:.20} of <Redirect> is neither GET nor POST")
        return "POST"
    return method
