"""Which rule a message belongs to, and what answers it."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from typing import Protocol

from app.routing.handlers import Handler
from app.routing.keywords import RuleTable
from app.routing.opt_out_words import Heard, Intent, OptOutWords, heard_by_twilio
from app.routing.privacy import masked_number, masked_text
from app.routing.replies import SILENCE, Reply
from app.routing.rules import Match, Occasion
from app.routing.templates import TemplateError, TextAnswer, WrittenAnswer
from app.routing.upstream.forward import Forward
from app.senders.country import country_of
from app.twilio.inbound import InboundMessage

log = logging.getLogger("sms_router.dispatch")

MOST_LOGGED, MOST_CAUSE = 8000, 500
"""Characters of a failure that are logged, and kept with the dead letter."""

RuleAnswer = WrittenAnswer | Handler | Forward

Headers = Sequence[tuple[bytes, bytes]]
"""A request's headers as ASGI has them: the names in lower case."""

_LONGEST_KEPT = 160
"""Characters; people text the same short words again and again, and what they find is kept."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A handler or template that did not come to an answer, and why."""

    cause: str


@dataclass(frozen=True, slots=True)
class Immediate:
    """An answer that is there at once."""

    answer: WrittenAnswer
    argument: str
    keyword: str

    def reply(self, message: InboundMessage) -> Reply | Failed:
        """Return the reply."""
        try:
            return self.answer.reply(message, self.argument, self.keyword)
        except TemplateError as error:
            log.error("%s", error)
            return Failed(str(error))


@dataclass(frozen=True, slots=True)
class Running:
    """An answer that a function gives."""

    handler: Handler
    argument: str
    keyword: str

    async def run(
        self,
        message: InboundMessage,
        until: float = inf,  # noqa: ARG002 (a function goes on after the deadline)
        headers: Headers = (),  # noqa: ARG002
    ) -> Reply | Failed:
        """Call the function; whatever it raises is the cause of the failure, and goes no further."""
        try:
            return await self.handler(message, self.argument, self.keyword)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                raise  # the worker stops; the handler did not cancel itself
            trace = "".join(traceback.format_exception(error, limit=-10))
            log.error("the handler %s failed:\n%s", self.handler.name, _told(trace, message, MOST_LOGGED))
            cause = " ".join("".join(traceback.format_exception_only(error)).split())
            return Failed(_told(cause, message, MOST_CAUSE))


class Upstreams(Protocol):
    """Those who call other applications."""

    async def ask(
        self, forward: Forward, message: InboundMessage, until: float, headers: Headers
    ) -> Reply | Failed:
        """Return what the application answers before ``until``, or why it does not."""


@dataclass(frozen=True, slots=True)
class Forwarding:
    """An answer that another application gives."""

    forward: Forward
    upstreams: Upstreams | None
    """None where nothing is ever sent."""

    async def run(self, message: InboundMessage, until: float, headers: Headers) -> Reply | Failed:
        """Ask the application; it has answered or failed before ``until``, by the monotonic clock."""
        if self.upstreams is None:
            return Failed("nothing is forwarded here")
        return await self.upstreams.ask(self.forward, message, until, headers)


@dataclass(frozen=True, slots=True)
class Forwards:
    """How other applications are called, and which one a number itself names (design 9)."""

    upstreams: Upstreams | None = None
    number_forward: Callable[[InboundMessage], Forward | None] = lambda _: None


def _told(text: str, message: InboundMessage, most: int) -> str:
    """Shorten what is logged and kept of a failure, without the person's number and words (design 12)."""
    if len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 2 :]}"
    text = text.replace(message.sender, masked_number(message.sender))
    return text.replace(message.body, masked_text(message.body)) if len(message.body) > 3 else text


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@dataclass(frozen=True, slots=True)
class Found:
    """The rule that a message belongs to, by its name for people, and what answers."""

    rule: str
    action: Immediate | Running | Forwarding
    heard: Heard | None = None
    """The opt-out word that the text is."""
    otherwise: Found | None = None
    """What answers somebody who is not on the opt-out list, where the word may be an ordinary text."""
    unclaimed: bool = False
    """True when no rule has claimed the text."""

    def for_person(self, opted_out: bool) -> Found:
        """Return what answers a person who is on the opt-out list, or who is not.

        No handler runs for somebody on the list: nothing that it promised could be told them.
        """
        if self.heard is None:
            return _ON_THE_LIST if opted_out else self
        return self if opted_out or self.otherwise is None else self.otherwise


_SILENCE = Immediate(TextAnswer(SILENCE), "", "")
_NOTHING = Found("no rule and no default", _SILENCE, unclaimed=True)
_ON_THE_LIST = Found("on the opt-out list: nothing is said", _SILENCE)


class Dispatcher:
    """Finds the rule of each message."""

    def __init__(
        self,
        table: RuleTable[RuleAnswer],
        default: WrittenAnswer | Forward | None,
        opt_outs: OptOutWords | None = None,
        forwards: Forwards | None = None,
    ) -> None:
        """Take the rules, the answer to everything else, and the words that come before both."""
        self.table = table
        self._opt_outs = opt_outs or OptOutWords(())
        self._default = default
        self._forwards = forwards or Forwards()
        self._find_kept = lru_cache(maxsize=4096)(self._find)

    def find(self, message: InboundMessage) -> Found:
        """Return what answers this message; there is always something, if only silence."""
        if message.opt_out_type is not None:
            return _answered_by_twilio(message.opt_out_type)
        country = country_of(message.sender, message.from_country)
        find = self._find_kept if len(message.body) <= _LONGEST_KEPT else self._find
        found = find(message.body, message.service_sid, message.recipient, country)
        if found.unclaimed or (found.otherwise is not None and found.otherwise.unclaimed):
            return self._by_number(found, message)
        return found

    def taken_by_opt_outs(self) -> list[str]:
        """Say which keywords never see their word alone, because it is an opt-out word."""
        return [
            f"{word!r} alone is a word for {intent}, so that {rule} does not get it; to change that,"
            " name it in left_to_keywords in opt-outs.toml"
            for rule in self.table.rules
            for word in rule.words
            if (intent := self._opt_outs.intent(word)) not in (None, Intent.START)
        ]

    def _by_number(self, found: Found, message: InboundMessage) -> Found:
        """Let the number that was texted have what no rule claims, where it names an application."""
        forward = self._forwards.number_forward(message)
        if forward is None:
            return found
        own = Found(f"{message.recipient}'s own URL", Forwarding(forward, self._forwards.upstreams))
        return own if found.unclaimed else replace(found, otherwise=own)

    def _find(self, body: str, service_sid: str | None, number: str, country: str | None) -> Found:
        heard = self._opt_outs.hear(body, service_sid, number, country)
        ordinary = self._find_rule(body, service_sid, number, country)
        if heard is None:
            return ordinary
        claimed = isinstance(self.table.find(body, Occasion(service_sid, number, country)), Match)
        otherwise = ordinary if heard.intent is Intent.START and (claimed or not heard.firm) else None
        return Found(heard.rule, Immediate(TextAnswer(heard.reply), "", heard.word), heard, otherwise)

    def _find_rule(self, body: str, service_sid: str | None, number: str, country: str | None) -> Found:
        match = self.table.find(body, Occasion(service_sid, number, country))
        if isinstance(match, Match):
            rule = match.rule
            if isinstance(rule.answer, Handler):
                return Found(rule.name, Running(rule.answer, match.argument, match.keyword))
            if isinstance(rule.answer, Forward):
                return Found(rule.name, Forwarding(rule.answer, self._forwards.upstreams))
            return Found(rule.name, Immediate(rule.answer, match.argument, match.keyword))
        if self._default is None:
            return _NOTHING
        if isinstance(self._default, Forward):
            return Found("default", Forwarding(self._default, self._forwards.upstreams), unclaimed=True)
        return Found("default", Immediate(self._default, body.strip(), ""), unclaimed=True)


def _answered_by_twilio(opt_out_type: str) -> Found:
    """Say nothing: Advanced Opt-Out has replied already (facts 8)."""
    heard = heard_by_twilio(opt_out_type)
    return Found(heard.rule if heard else "opt-out word, answered by Twilio", _SILENCE, heard)


def occasion_of(message: InboundMessage) -> Occasion:
    """Return where and by whom the text was sent, as far as scopes ask for it."""
    return Occasion(
        service_sid=message.service_sid,
        number=message.recipient,
        country=country_of(message.sender, message.from_country),
    )
