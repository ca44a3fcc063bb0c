"""What a handler answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """What leaves for the person; ``Reply()`` says nothing.

    ``text`` is one text, or several that leave as separate messages. ``media`` is a URL that Twilio
    can fetch, or several; they go with the first message. ``sender`` is a wish: a number of the
    Service in E.164, a short code or an alphanumeric sender; one that cannot be used is passed
    over, with the reason in the trail. ``one_way`` says that no answer is expected, so that an
    alphanumeric sender may be used.

    Raises:
        TypeError: when a text, a URL or the sender is not text.

    """

    text: str | Sequence[str] = ""
    media: str | Sequence[str] = ()
    sender: str | None = None
    one_way: bool = False

    def __post_init__(self) -> None:
        """Find what is not text here, where the handler stands in the traceback."""
        for name, value in (("text", self.text), ("media", self.media)):
            if not isinstance(value, str) and not _are_texts(value):
                raise TypeError(f"Reply: {name} is a str or a list of str, not {value!r:.80}")
        if not isinstance(self.sender, str | None):
            raise TypeError("Reply: sender is a number or a name, as a str")

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, one for each message, empty ones left out."""
        texts = (self.text,) if isinstance(self.text, str) else tuple(self.text)
        return tuple(text for text in texts if text)

    @property
    def media_urls(self) -> tuple[str, ...]:
        """The URLs of the media, empty ones left out."""
        urls = (self.media,) if isinstance(self.media, str) else tuple(self.media)
        return tuple(url for url in urls if url)

    @property
    def silent(self) -> bool:
        """True when nothing leaves for the person."""
        return not self.media_urls and not self.texts


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


SILENCE = Reply()
