"""The texts that contacts send, and the replies that are expected."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loadtests.workload.contacts import Contact

ERROR_REPLY = "Sorry, that failed. Please try again."
FALLBACK_REPLY = "We got your message and will answer soon."
DEFAULT_REPLY = "Text HOURS, MENU or TICKET."
PICTURE = "https://example.com/menu.png"


@dataclass(frozen=True, slots=True)
class ExpectedReply:
    """Regular expressions for the texts of a reply, in order, and the media of the first one.

    Without texts the expected answer is an empty ``<Response/>``.
    """

    texts: tuple[str, ...]
    media: tuple[str, ...] = ()

    @classmethod
    def of(cls, *texts: str, media: tuple[str, ...] = ()) -> ExpectedReply:
        """Expect exactly these texts."""
        return cls(tuple(map(re.escape, texts)), media)


NO_REPLY = ExpectedReply(())


@dataclass(frozen=True, slots=True)
class Text:
    """One text that contacts send.

    In ``reply``, ``{city}`` stands for the contact's city. With ``is_unique`` it is a regular expression:
    each run of the handler gives another reply, so that a second run is detected.
    """

    name: str
    body: str
    reply: str | None
    media: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    """URLs of pictures that the contact sends."""
    is_unique: bool = False
    is_opt_out_keyword: bool = False
    """The fallback URL gives the same reply to opt-out keywords."""

    def expected_reply(self, contact: Contact) -> ExpectedReply:
        """Return the reply that this contact must get."""
        if self.reply is None:
            return NO_REPLY
        if self.is_unique:
            return ExpectedReply((self.reply,))
        return ExpectedReply.of(self.reply.format(city=contact.locality.city), media=self.media)


_HOURS = "We are open 9 to 5, {city}."
_MENU = "Today: lentil soup & bread < 9 dollars."

HOURS = Text("HOURS", "HOURS", _HOURS)
HOURS_IN_A_SENTENCE = Text("HOURS in a sentence", " Hours, please… 🙂", _HOURS)
MENU = Text("MENU", "menu", _MENU, media=(PICTURE,))
TICKET = Text("TICKET", "TICKET", "Your ticket is [0-9a-f]{32}[.]", is_unique=True)
SLOW_TICKET = Text("TICKET, slowly", "TICKET 0.3", "Your ticket is [0-9a-f]{32}[.]", is_unique=True)
STAMP = Text("STAMP", "STAMP", "Your stamp is [0-9a-f]{32}[.]", is_unique=True)
UNKNOWN = Text("no keyword", "Is anybody there? Çok güzel 👍", DEFAULT_REPLY)
WITH_PICTURES = Text(
    "a picture", "", DEFAULT_REPLY, pictures=("https://example.com/cat.jpg", "https://example.com/dog.jpg")
)
BROKEN = Text("a handler that raises", "BREAK", ERROR_REPLY)
HANGING = Text("a handler that hangs", "HANG", None)
LATE = Text("a late answer", "TICKET 4.5", None, is_unique=True)
"""For a router whose deadline is below 4.5 s: an empty answer, and the reply by REST."""
FORWARDED = Text("a forwarded text", "FORWARD", "From the (application|backup)[.]", is_unique=True)
BLOCKING = Text("a plain function that hangs", "BLOCK", None)

STOP = Text(
    "STOP",
    "Stop.",
    "You are unsubscribed and will get no more messages from us. Reply START to come back.",
    is_opt_out_keyword=True,
)
START = Text(
    "START",
    "START",
    "You will get our messages again. Reply HELP for help, STOP to end. Msg&data rates may apply.",
    is_opt_out_keyword=True,
)
HELP = Text(
    "HELP", "HELP", "Reply STOP to get no more messages. Msg&data rates may apply.", is_opt_out_keyword=True
)

EVERYDAY_TEXTS = (
    *(HOURS,) * 5,
    *(HOURS_IN_A_SENTENCE,) * 2,
    *(MENU,) * 3,
    *(TICKET,) * 4,
    STAMP,
    *(UNKNOWN,) * 2,
    WITH_PICTURES,
    HELP,
)
"""Ordinary texts, each as often as it stands here."""
