"""The reply of a handler: texts, media, the sender, and the step that takes the next message."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from sms_router.privacy import mask_numbers
from sms_router.routing.handler.decorators import StepSpec, specs_of
from sms_router.senders.models import NO_FACTS, RecipientFacts
from sms_router.twilio.phone_numbers import parse_contact

_MEDIA_URL = re.compile(r"https?://[^/\s]\S*")


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a `Reply` whose messages have their own text, media or sender.

    Args:
        text: the text of the message; a long one is split into several messages.
        media: one URL, or several, that Twilio fetches; http or https.
        sender: the sender to use, as in `Reply`.
        to: the number of another contact who gets this message, unless they have opted out.

    Raises:
        TypeError: when the text, a URL, the sender or the number is no ``str``.
        ValueError: when a URL is no http or https URL, or the number is none.

    """

    text: str = ""
    media: str | Sequence[str] = ()
    sender: str | None = None
    to: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"Part: text is a str, not {self.text!r:.80}")
        _check_media_and_sender("Part", self.media, self.sender)
        if self.to is not None:
            if not isinstance(self.to, str):
                raise TypeError(f"Part: to is a number, as a str, not {self.to!r:.80}")
            object.__setattr__(self, "to", parse_contact(self.to))

    @property
    def media_urls(self) -> tuple[str, ...]:
        """The URLs of the media, without empty ones."""
        return _non_empty(self.media)


@dataclass(frozen=True, slots=True)
class RedirectedPart(Part):
    """A message to another recipient than the contact, who has not opted out."""

    facts: RecipientFacts = NO_FACTS
    """Those of the recipient, for sender selection."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent to the contact; ``Reply()`` sends nothing.

    Args:
        text: one text, or a list of texts that are sent as separate messages.
        media: one URL, or several, that Twilio fetches (http or https); they are sent with the first
            message.
        sender: the sender to use: a number of the Service in E.164, a short code or an alphanumeric
            sender. If it cannot be used, another one is selected and the trail contains the reason.
        one_way: no text back is expected, so that an alphanumeric sender may be used.
        parts: instead of ``text`` and ``media``, when each message has its own media or sender.
        notes: lines that are stored with the message; the contact does not get them.
        then: the step that takes the contact's next message: its name, or its function.

    Raises:
        TypeError: when an argument has the wrong type, or ``then`` is neither a name nor a step.
        ValueError: when there are ``parts`` beside ``text`` or ``media``, or a URL is no http or https
            URL.

    """

    text: str | Sequence[str] = ""
    media: str | Sequence[str] = ()
    sender: str | None = None
    one_way: bool = False
    parts: Sequence[Part] = field(default=(), kw_only=True)
    notes: Sequence[str] = field(default=(), kw_only=True)
    then: str | Callable[..., object] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.then is not None:
            _step_name(self.then)
        if isinstance(self.text, str):
            if self.media == () and self.sender is None and self.parts == () and self.notes == ():
                return  # nearly every reply is one text
        elif not _are_texts(self.text):
            raise TypeError(f"Reply: text is a str or a list of str, not {self.text!r:.80}")
        _check_media_and_sender("Reply", self.media, self.sender)
        if not _are_texts(self.notes):
            raise TypeError(f"Reply: notes is a list of str, not {self.notes!r:.80}")
        if not isinstance(self.parts, list | tuple) or not all(isinstance(part, Part) for part in self.parts):
            raise TypeError(f"Reply: parts is a list of Part, not {self.parts!r:.80}")
        if self.parts and (self.text or self.media):
            raise ValueError("Reply: parts replaces text and media; put them into a Part")

    @property
    def next_step(self) -> str | None:
        return None if self.then is None else _step_name(self.then)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, one for each message, without empty ones."""
        if self.parts:
            return tuple(part.text for part in self.parts if part.text)
        return _non_empty(self.text)

    @property
    def media_urls(self) -> tuple[str, ...]:
        """The URLs of the media, without empty ones."""
        if self.parts:
            return tuple(url for part in self.parts for url in part.media_urls)
        return _non_empty(self.media)

    @property
    def is_silent(self) -> bool:
        """True when nothing is sent to the contact."""
        return not self.media_urls and not self.texts


CallNext = Callable[..., Awaitable[Reply]]
"""What a middleware declares as ``call_next``."""


@dataclass(frozen=True, slots=True)
class HandlerForward:
    """What a handler returns to have another application reply, which is called as Twilio would call it.

    Args:
        url: of the application; http or https.
        fallback_url: is called when the application fails.

    """

    url: str
    fallback_url: str | None = None


Answer = str | Reply | HandlerForward | None
"""What a handler returns: a text, a `Reply`, a forward, or None for no reply."""


def is_media_url(text: str) -> bool:
    """Return whether a text is an http or https URL; Twilio refuses a message with another one (21620)."""
    return _MEDIA_URL.fullmatch(text) is not None


def _step_name(then: object) -> str:
    if isinstance(then, str):
        return then
    for spec in specs_of(then):
        if isinstance(spec, StepSpec):
            return spec.name
    raise TypeError(f"Reply: then is a step's name or a function below @step, not {then!r:.80}")


def _check_media_and_sender(class_name: str, media: object, sender: object) -> None:
    if not isinstance(media, str) and not _are_texts(media):
        raise TypeError(f"{class_name}: media is a str or a list of str, not {media!r:.80}")
    if not isinstance(sender, str | None):
        raise TypeError(f"{class_name}: sender is a number or a name, as a str")
    for url in _non_empty(media):
        if not is_media_url(url):
            raise ValueError(f"{class_name}: media is a URL that begins with https://, not {url!r:.80}")


def _non_empty(value: str | Sequence[str]) -> tuple[str, ...]:
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple([text for text in value if text])


def _are_texts(value: object) -> TypeGuard[Sequence[str]]:
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)


SILENCE = Reply()


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """There is no reply, because a handler, a template or an upstream has failed."""

    cause: str
    """Telephone numbers in it are masked: it is shown in logs and lists."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "cause", mask_numbers(self.cause))
