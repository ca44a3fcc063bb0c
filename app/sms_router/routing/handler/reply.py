"""What a handler answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from sms_router.routing.handler.decorators import step_name
from sms_router.senders.models import NO_FACTS, RecipientFacts

_MEDIA_URL = re.compile(r"https?://[^/\s]\S*")


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a reply that needs several, each with its own text, media and sender.

    ``text``, ``media`` and ``sender`` are as in `Reply`.

    Raises:
        TypeError: when the text, a URL or the sender is not text.
        ValueError: when a URL is none that Twilio could fetch.

    """

    text: str = ""
    media: str | Sequence[str] = ()
    sender: str | None = None

    def __post_init__(self) -> None:
        """Find what is not text here, where the handler stands in the traceback."""
        if not isinstance(self.text, str):
            raise TypeError(f"Part: text is a str, not {self.text!r:.80}")
        _check("Part", self.media, self.sender)

    @property
    def media_urls(self) -> tuple[str, ...]:
        """The URLs of the media, empty ones left out."""
        return _filled(self.media)


@dataclass(frozen=True, slots=True)
class RedirectedPart(Part):
    """A message to somebody else than who texted, made by those who know that it may be sent."""

    recipient: str = ""
    facts: RecipientFacts = NO_FACTS
    """The recipient's."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What leaves for the person; ``Reply()`` says nothing.

    ``text`` is one text, or several that leave as separate messages. ``media`` is a URL that Twilio
    can fetch, or several; they go with the first message. ``sender`` is a wish: a number of the
    Service in E.164, a short code or an alphanumeric sender; one that cannot be used is passed
    over, with the reason in the trail. ``one_way`` says that no answer is expected, so that an
    alphanumeric sender may be used. ``parts`` take the place of text and media where each message
    has its own media or sender. ``notes`` are lines for the journal, which no person sees. ``then`` is the
    step that takes the person's next message, by its name or as the function below ``@step``.

    Raises:
        TypeError: when a text, a URL or the sender is not text, or a part is not a `Part`.
        ValueError: when there are parts beside a text or media, or a URL is none that Twilio could fetch.

    """

    text: str | Sequence[str] = ""
    media: str | Sequence[str] = ()
    sender: str | None = None
    one_way: bool = False
    parts: Sequence[Part] = field(default=(), kw_only=True)
    notes: Sequence[str] = field(default=(), kw_only=True)
    then: str | Callable[..., object] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Find what is not text here, where the handler stands in the traceback."""
        if self.then is not None:
            step_name(self.then)
        if isinstance(self.text, str):
            if self.media == () and self.sender is None and self.parts == () and self.notes == ():
                return  # nearly every reply is one text
        elif not _are_texts(self.text):
            raise TypeError(f"Reply: text is a str or a list of str, not {self.text!r:.80}")
        _check("Reply", self.media, self.sender)
        if self.parts or self.notes:
            self._check_parts()

    def _check_parts(self) -> None:
        if not _are_texts(self.notes):
            raise TypeError(f"Reply: notes is a list of str, not {self.notes!r:.80}")
        if not isinstance(self.parts, list | tuple) or not all(isinstance(each, Part) for each in self.parts):
            raise TypeError(f"Reply: parts is a list of Part, not {self.parts!r:.80}")
        if self.parts and (self.text or self.media):
            raise ValueError("Reply: parts take the place of text and media; put these into a Part")

    @property
    def next_step(self) -> str | None:
        """The name of the step that takes the next message."""
        return None if self.then is None else step_name(self.then)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, one for each message, empty ones left out."""
        if self.parts:
            return tuple(part.text for part in self.parts if part.text)
        return _filled(self.text)

    @property
    def media_urls(self) -> tuple[str, ...]:
        """The URLs of the media, empty ones left out."""
        if self.parts:
            return tuple(url for part in self.parts for url in part.media_urls)
        return _filled(self.media)

    @property
    def silent(self) -> bool:
        """True when nothing leaves for the person."""
        return not self.media_urls and not self.texts


def is_media_url(text: str) -> bool:
    """Tell whether Twilio could fetch this; it refuses the whole message otherwise (21620)."""
    return _MEDIA_URL.fullmatch(text) is not None


def _check(kind: str, media: object, sender: object) -> None:
    if not isinstance(media, str) and not _are_texts(media):
        raise TypeError(f"{kind}: media is a str or a list of str, not {media!r:.80}")
    if not isinstance(sender, str | None):
        raise TypeError(f"{kind}: sender is a number or a name, as a str")
    for url in _filled(media):
        if not is_media_url(url):
            raise ValueError(f"{kind}: media is a URL that begins with https://, not {url!r:.80}")


def _filled(value: str | Sequence[str]) -> tuple[str, ...]:
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple([each for each in value if each])


def _are_texts(value: object) -> TypeGuard[Sequence[str]]:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


SILENCE = Reply()


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """A handler or template that gave no answer, and why."""

    cause: str
