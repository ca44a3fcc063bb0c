"""What a handler answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """What leaves for the person; ``Reply()`` says nothing.

    ``text`` is one text, or several that leave as separate messages. ``media`` are URLs that
    Twilio can fetch; they go with the first message. ``sender`` is a wish: a number of the
    Service in E.164, a short code or an alphanumeric sender; one that cannot be used is passed
    over, with the reason in the trail. ``one_way`` says that no answer is expected, so that an
    alphanumeric sender may be used.
    """

    text: str | Sequence[str] = ""
    media: Sequence[str] = ()
    sender: str | None = None
    one_way: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, one for each message, empty ones left out."""
        texts = (self.text,) if isinstance(self.text, str) else tuple(self.text)
        return tuple(text for text in texts if text)

    @property
    def silent(self) -> bool:
        """True when nothing leaves for the person."""
        return not self.media and not self.texts


SILENCE = Reply()
