"""Who opted out of what, kept as Twilio keeps it for each kind of number (facts 8).

- A long code understands the default words. In a Service an opt-out covers the whole Service.
- A short code understands nothing (INFERENCE: neither does one in a Service), unless Advanced Opt-Out is on.
- A toll-free number is blocked by its network, which Twilio does not know of: the opt-out covers that
  number alone (INFERENCE), and messages end as 30004 instead of being refused.
- Advanced Opt-Out understands its own lists on every number of the Service.
"""

from __future__ import annotations

from dataclasses import dataclass

from sms_router.sandbox.state.account import Account
from sms_router.sandbox.world.numbers import Number, NumberKind, country_of
from sms_router.sandbox.world.opt_out_keywords import (
    DEFAULT,
    NETWORK_START,
    NETWORK_STARTED,
    NETWORK_STOP,
    NETWORK_STOPPED,
    NOT_REMOVABLE,
    KeywordIntent,
    WordList,
)
from sms_router.sandbox.world.world import Service


@dataclass(frozen=True, slots=True)
class Heard:
    """What Twilio and the network made of a text; empty texts where they say nothing.

    ``opt_out_type`` is the webhook's parameter, which exists with Advanced Opt-Out only.
    """

    opt_out_type: str = ""
    reply: str = ""
    network_reply: str = ""


class OptOuts:
    """The blocks of one account. A block's scope is a Service's sid, or a number outside Services."""

    def __init__(self, account: Account) -> None:
        """Start without any."""
        self._account = account
        self._blocked: set[tuple[str, str]] = set()
        self._network: set[tuple[str, str]] = set()

    def handle(self, number: Number, person: str, body: str) -> Heard:
        """Take note of a text if it is one of the words.

        Only a text that is one word counts; INFERENCE: blanks around it do not matter.
        """
        word = body.strip().upper()
        network_reply = self._network_hears(number, person, word)
        service = self._account.service_of(number.sid)
        if service and service.advanced_opt_out:
            return self._advanced(service, person, word, network_reply)
        if number.kind is not NumberKind.LONG_CODE:
            return Heard(network_reply=network_reply)
        intent = DEFAULT.intent(word)
        scope = service.sid if service else number.address
        return Heard(reply=self._default(scope, person, intent) if intent else "")

    def blocks(self, sender: str | None, service_sid: str | None, person: str) -> bool:
        """Say whether Twilio refuses to send (21610); the Service of the sender counts too."""
        number = self._account.number_at(sender or "")
        service = self._account.service_of(number.sid) if number else None
        scopes = (service_sid, service.sid if service else sender)
        return any((scope, person) in self._blocked for scope in scopes)

    def network_blocks(self, sender: str, person: str) -> bool:
        """Say whether the network of a toll-free number turns its messages away (30004)."""
        return (sender, person) in self._network

    def _network_hears(self, number: Number, person: str, word: str) -> str:
        if number.kind is not NumberKind.TOLL_FREE:
            return ""
        pair = (number.address, person)
        if word in NETWORK_STOP and pair not in self._network:
            self._network.add(pair)
            return NETWORK_STOPPED
        if word in NETWORK_START and pair in self._network:
            self._network.discard(pair)
            return NETWORK_STARTED
        return ""

    def _advanced(self, service: Service, person: str, word: str, network_reply: str) -> Heard:
        """Answer from the Service's lists: always, since ``OptOutType`` means that Twilio answered."""
        for words in _lists(service, country_of(person)):
            intent = words.intent(word)
            if intent:
                silent = intent is KeywordIntent.HELP and (service.sid, person) in self._blocked
                self._note(service.sid, person, intent)
                return Heard(intent.value, "" if silent else words.reply(intent), network_reply)
        return Heard(network_reply=network_reply)

    def _default(self, scope: str, person: str, intent: KeywordIntent) -> str:
        """Answer STOP and START where they change something (INFERENCE), HELP where nothing is blocked."""
        blocked = (scope, person) in self._blocked
        self._note(scope, person, intent)
        speaks = blocked if intent is KeywordIntent.START else not blocked
        return DEFAULT.reply(intent) if speaks else ""

    def _note(self, scope: str, person: str, intent: KeywordIntent) -> None:
        if intent is KeywordIntent.STOP:
            self._blocked.add((scope, person))
        elif intent is KeywordIntent.START:
            self._blocked.discard((scope, person))


def _lists(service: Service, country: str) -> tuple[WordList, ...]:
    """Return the lists that are looked at; a country's own replace the standard ones.

    INFERENCE: the page also says that the standard list is checked afterwards (facts 10.10); here it is
    not, except for the words that cannot be removed.
    """
    own = tuple(words for words in service.opt_out_lists if country in words.countries)
    standard = tuple(words for words in service.opt_out_lists if not words.countries) or (DEFAULT,)
    return (*(own or standard), NOT_REMOVABLE)
