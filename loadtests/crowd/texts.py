"""What people text, and what must come back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loadtests.crowd.people import Person

ERROR_REPLY = "Sorry, that failed. Please try again."
FALLBACK_REPLY = "We got your message and will answer soon."
DEFAULT_REPLY = "Text HOURS, MENU or TICKET."
PICTURE = "https://example.com/menu.png"


@dataclass(frozen=True, slots=True)
class Due:
    """An answer that is right: patterns for its texts, in order, and the pictures of the first one.

    No texts means silence, which is an empty ``<Response/>``.
    """

    texts: tuple[str, ...]
    media: tuple[str, ...] = ()

    @classmethod
    def of(cls, *texts: str, media: tuple[str, ...] = ()) -> Due:
        """Take the texts as they are."""
        return cls(tuple(map(re.escape, texts)), media)


SILENCE = Due(())


@dataclass(frozen=True, slots=True)
class Text:
    """One thing that people text.

    ``reply`` has ``{city}`` where the person's stands; it is a pattern when ``unique``: then two
    messages may be answered differently, and an answer given twice shows.
    """

    name: str
    body: str
    reply: str | None
    media: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    """URLs of pictures that the person sends along."""
    unique: bool = False
    heeded: bool = False
    """True for an opt-out word, which the fallback URL answers too."""

    def due(self, person: Person) -> Due:
        """Return what this person must get."""
        if self.reply is None:
            return SILENCE
        if self.unique:
            return Due((self.reply,))
        return Due.of(self.reply.format(city=person.place.city), media=self.media)


_HOURS = "We are open 9 to 5, {city}."
_MENU = "Today: lentil soup & bread < 9 dollars."

HOURS = Text("HOURS", "HOURS", _HOURS)
HOURS_LOOSELY = Text("HOURS in a sentence", " Hours, please… 🙂", _HOURS)
MENU = Text("MENU", "menu", _MENU, media=(PICTURE,))
TICKET = Text("TICKET", "TICKET", "Your ticket is [0-9a-f]{32}[.]", unique=True)
SLOWLY = Text("TICKET, slowly", "TICKET 0.3", "Your ticket is [0-9a-f]{32}[.]", unique=True)
PLAIN_FUNCTION = Text("STAMP", "STAMP", "Your stamp is [0-9a-f]{32}[.]", unique=True)
UNKNOWN = Text("no keyword", "Is anybody there? Çok güzel 👍", DEFAULT_REPLY)
WITH_PICTURES = Text(
    "a picture", "", DEFAULT_REPLY, pictures=("https://example.com/cat.jpg", "https://example.com/dog.jpg")
)
BROKEN = Text("a handler that raises", "BREAK", ERROR_REPLY)
HANGING = Text("a handler that hangs", "HANG", None)
LATE = Text("a late answer", "TICKET 4.5", None, unique=True)
"""For a router whose deadline is below 4.5 s: silence, and the answer by REST."""
FORWARDED = Text("a forwarded text", "FORWARD", "From the (application|backup)[.]", unique=True)
BLOCKING = Text("a plain function that hangs", "BLOCK", None)

STOP = Text(
    "STOP",
    "Stop.",
    "You are unsubscribed and will get no more messages from us. Reply START to come back.",
    heeded=True,
)
START = Text(
    "START",
    "START",
    "You will get our messages again. Reply HELP for help, STOP to end. Msg&data rates may apply.",
    heeded=True,
)
HELP = Text("HELP", "HELP", "Reply STOP to get no more messages. Msg&data rates may apply.", heeded=True)

EVERYDAY = (
    *(HOURS,) * 5,
    *(HOURS_LOOSELY,) * 2,
    *(MENU,) * 3,
    *(TICKET,) * 4,
    PLAIN_FUNCTION,
    *(UNKNOWN,) * 2,
    WITH_PICTURES,
    HELP,
)
"""What people text on any day, as often as it stands here."""
