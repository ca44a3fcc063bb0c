"""Opt-outs, as Twilio handles them for each kind of number (facts 8).

- A long code handles the default keywords. In a Service an opt-out covers the whole Service.
- A short code handles no keyword (INFERENCE: nor does one in a Service), unless Advanced Opt-Out is on.
- A toll-free number is blocked by its network, not by Twilio: the opt-out covers that number alone
  (INFERENCE), and messages end as 30004 instead of being rejected. The other default keywords but YES are
  handled as on a long code (facts 11).
- Advanced Opt-Out handles its own lists on every number of the Service.
"""

from __future__ import annotations

from dataclasses import dataclass

from sms_router.sandbox.state.account import Account
from sms_router.sandbox.world.numbers import Number, NumberKind, country_of
from sms_router.sandbox.world.opt_out_keywords import (
    DEFAULT,
    NETWORK_START,
    NETWORK_START_REPLY,
    NETWORK_STOP,
    NETWORK_STOP_REPLY,
    NOT_REMOVABLE,
    KeywordIntent,
    OptOutKeywordList,
)
from sms_router.sandbox.world.world import Service


@dataclass(frozen=True, slots=True)
class OptOutResponse:
    """How Twilio and the network react to a text; the replies are empty where there is none.

    ``opt_out_type`` is the webhook's parameter, which exists with Advanced Opt-Out only.
    """

    opt_out_type: str = ""
    reply: str = ""
    network_reply: str = ""


class OptOuts:
    """The blocks of one account. A block's scope is a Service's sid, or a number outside Services."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._blocked: set[tuple[str, str]] = set()
        self._network_blocked: set[tuple[str, str]] = set()

    def handle(self, number: Number, person: str, body: str) -> OptOutResponse:
        """Record what a text requests, if it is a keyword.

        Only a text that is one word counts; INFERENCE: blanks around it do not matter.
        """
        word = body.strip().upper()
        network_reply = self._handle_in_network(number, person, word)
        service = self._account.service_of(number.sid)
        if service and service.advanced_opt_out:
            return self._handle_advanced(service, person, word, network_reply)
        is_toll_free = number.kind is NumberKind.TOLL_FREE
        is_networks = is_toll_free and word in NETWORK_STOP | NETWORK_START | {"YES"}
        if number.kind is NumberKind.SHORT_CODE or is_networks:
            return OptOutResponse(network_reply=network_reply)
        intent = DEFAULT.intent(word)
        if intent is KeywordIntent.HELP and self.is_blocked_by_network(number.address, person):
            return OptOutResponse()
        scope = service.sid if service else number.address
        return OptOutResponse(reply=self._handle_default(scope, person, intent) if intent else "")

    def is_blocked(self, sender: str | None, service_sid: str | None, person: str) -> bool:
        """Return whether Twilio rejects a message (21610); the Service of the sender counts too."""
        number = self._account.number_at(sender or "")
        service = self._account.service_of(number.sid) if number else None
        scopes = (service_sid, service.sid if service else sender)
        return any((scope, person) in self._blocked for scope in scopes)

    def is_blocked_by_network(self, sender: str, person: str) -> bool:
        """Return whether the network of a toll-free number blocks its messages (30004)."""
        return (sender, person) in self._network_blocked

    def _handle_in_network(self, number: Number, person: str, word: str) -> str:
        if number.kind is not NumberKind.TOLL_FREE:
            return ""
        pair = (number.address, person)
        if word in NETWORK_STOP and pair not in self._network_blocked:
            self._network_blocked.add(pair)
            return NETWORK_STOP_REPLY
        if word in NETWORK_START and pair in self._network_blocked:
            self._network_blocked.discard(pair)
            return NETWORK_START_REPLY
        return ""

    def _handle_advanced(
        self, service: Service, person: str, word: str, network_reply: str
    ) -> OptOutResponse:
        """Reply from the Service's lists: always, since ``OptOutType`` means that Twilio replied."""
        for keywords in _lists(service, country_of(person)):
            intent = keywords.intent(word)
            if intent:
                is_silent = intent is KeywordIntent.HELP and (service.sid, person) in self._blocked
                self._record(service.sid, person, intent)
                return OptOutResponse(
                    intent.value, "" if is_silent else keywords.reply(intent), network_reply
                )
        return OptOutResponse(network_reply=network_reply)

    def _handle_default(self, scope: str, person: str, intent: KeywordIntent) -> str:
        """Reply to STOP and START where they change something (INFERENCE), to HELP unless blocked."""
        is_blocked = (scope, person) in self._blocked
        self._record(scope, person, intent)
        has_reply = is_blocked if intent is KeywordIntent.START else not is_blocked
        return DEFAULT.reply(intent) if has_reply else ""

    def _record(self, scope: str, person: str, intent: KeywordIntent) -> None:
        if intent is KeywordIntent.STOP:
            self._blocked.add((scope, person))
        elif intent is KeywordIntent.START:
            self._blocked.discard((scope, person))


def _lists(service: Service, country: str) -> tuple[OptOutKeywordList, ...]:
    """Return the lists that apply; a country's own replace the standard ones.

    INFERENCE: Twilio's page also states that the standard list is checked afterwards (facts 10.10); here it
    is not, except for the keywords that cannot be removed.
    """
    own = tuple(keywords for keywords in service.opt_out_lists if country in keywords.countries)
    standard = tuple(keywords for keywords in service.opt_out_lists if not keywords.countries)
    return (*(own or standard or (DEFAULT,)), NOT_REMOVABLE)
