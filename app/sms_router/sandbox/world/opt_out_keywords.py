"""The opt-out keywords that Twilio itself handles, and its replies to them (facts 8).

INFERENCE: the wording of the replies; nothing depends on it.
"""

from __future__ import annotations

from enum import Enum

from sms_router.sandbox.world.types import Country, OptOutKeyword
from sms_router.toml import StrictModel

STOP_REPLY = (
    "You have successfully been unsubscribed. You will not receive any more messages from this number."
    " Reply START to resubscribe."
)
START_REPLY = (
    "You have successfully been re-subscribed to messages from this number. Reply HELP for help."
    " Reply STOP to unsubscribe. Msg&Data Rates May Apply."
)
HELP_REPLY = "Reply STOP to unsubscribe. Msg&Data Rates May Apply."


class KeywordIntent(Enum):
    """What a keyword requests; the value is ``OptOutType``."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


class OptOutKeywordList(StrictModel):
    """The keywords of one language in capitals, and the replies. Without ``countries``: the standard list."""

    language: str
    stop: frozenset[OptOutKeyword] = frozenset()
    start: frozenset[OptOutKeyword] = frozenset()
    help: frozenset[OptOutKeyword] = frozenset()
    stop_reply: str = STOP_REPLY
    start_reply: str = START_REPLY
    help_reply: str = HELP_REPLY
    countries: frozenset[Country] = frozenset()

    def intent(self, word: str) -> KeywordIntent | None:
        """Return what a word in capitals requests; None when it is not on the list."""
        if word in self.stop:
            return KeywordIntent.STOP
        if word in self.start:
            return KeywordIntent.START
        return KeywordIntent.HELP if word in self.help else None

    def reply(self, intent: KeywordIntent) -> str:
        if intent is KeywordIntent.STOP:
            return self.stop_reply
        return self.start_reply if intent is KeywordIntent.START else self.help_reply


DEFAULT = OptOutKeywordList(
    language="en",
    stop=frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"}),
    start=frozenset({"START", "YES", "UNSTOP"}),
    help=frozenset({"HELP", "INFO"}),
)

NOT_REMOVABLE = OptOutKeywordList(
    language="en",
    stop=frozenset({"STOP"}),
    start=frozenset({"START", "UNSTOP"}),
    help=frozenset({"HELP"}),
)
"""What Advanced Opt-Out handles whatever its lists contain."""

NETWORK_STOP, NETWORK_START = frozenset({"STOP"}), frozenset({"START", "UNSTOP"})
"""What the network of toll-free numbers handles. INFERENCE: of the STOP keywords, STOP alone."""

NETWORK_STOP_REPLY = (
    'NETWORK MSG: You replied with the word "stop" which blocks all texts sent from this number.'
    ' Text back "unstop" to receive messages again.'
)
NETWORK_START_REPLY = (
    'NETWORK MSG: You have replied "unstop" and will begin receiving messages again from this number.'
)
