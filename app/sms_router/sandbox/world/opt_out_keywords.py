"""The words that stop, start and ask for help, and what Twilio itself answers to them (facts 8).

INFERENCE: the wording of the answers; nothing depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class KeywordIntent(Enum):
    """What a word asks for; the value is ``OptOutType``."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


@dataclass(frozen=True, slots=True)
class WordList:
    """The words of one language in capitals, and the answers. No ``countries``: the standard list."""

    language: str
    stop: frozenset[str]
    start: frozenset[str]
    help: frozenset[str]
    stop_reply: str
    start_reply: str
    help_reply: str
    countries: frozenset[str] = frozenset()

    def intent(self, word: str) -> KeywordIntent | None:
        """Return what a word in capitals asks for."""
        words = (
            (KeywordIntent.STOP, self.stop),
            (KeywordIntent.START, self.start),
            (KeywordIntent.HELP, self.help),
        )
        return next((intent for intent, known in words if word in known), None)

    def reply(self, intent: KeywordIntent) -> str:
        """Return the answer to a word."""
        return {KeywordIntent.STOP: self.stop_reply, KeywordIntent.START: self.start_reply}.get(
            intent, self.help_reply
        )


DEFAULT = WordList(
    language="en",
    stop=frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"}),
    start=frozenset({"START", "YES", "UNSTOP"}),
    help=frozenset({"HELP", "INFO"}),
    stop_reply=(
        "You have successfully been unsubscribed. You will not receive any more messages from this number."
        " Reply START to resubscribe."
    ),
    start_reply=(
        "You have successfully been re-subscribed to messages from this number. Reply HELP for help."
        " Reply STOP to unsubscribe. Msg&Data Rates May Apply."
    ),
    help_reply="Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
)

NOT_REMOVABLE = WordList(
    language=DEFAULT.language,
    stop=frozenset({"STOP"}),
    start=frozenset({"START", "UNSTOP"}),
    help=frozenset({"HELP"}),
    stop_reply=DEFAULT.stop_reply,
    start_reply=DEFAULT.start_reply,
    help_reply=DEFAULT.help_reply,
)
"""What Advanced Opt-Out understands whatever its lists say."""

NETWORK_STOP, NETWORK_START = frozenset({"STOP"}), frozenset({"START", "UNSTOP"})
"""What the network of toll-free numbers understands. INFERENCE: of the words that stop, STOP alone."""

NETWORK_STOPPED = (
    'NETWORK MSG: You replied with the word "stop" which blocks all texts sent from this number.'
    ' Text back "unstop" to receive messages again.'
)
NETWORK_STARTED = (
    'NETWORK MSG: You have replied "unstop" and will begin receiving messages again from this number.'
)
