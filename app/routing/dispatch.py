"""Which rule a message belongs to, and what answers it."""

from __future__ import annotations

import asyncio
import logging
import traceback
from dataclasses import dataclass

from app.routing.handlers import Handler
from app.routing.keywords import RuleTable
from app.routing.replies import SILENCE, Reply
from app.routing.rules import Match, NoMatch, Occasion
from app.routing.templates import TemplateError, TextAnswer, WrittenAnswer
from app.senders.country import country_of
from app.twilio.inbound import InboundMessage

log = logging.getLogger("sms_router.dispatch")

RuleAnswer = WrittenAnswer | Handler


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

    async def run(self, message: InboundMessage) -> Reply | Failed:
        """Call the function; whatever it raises is the cause of the failure, and goes no further."""
        try:
            return await self.handler(message, self.argument, self.keyword)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                raise  # the worker stops; the handler did not cancel itself
            log.exception("the handler %s failed", self.handler.name)
            return Failed(" ".join("".join(traceback.format_exception_only(error)).split()))


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@dataclass(frozen=True, slots=True)
class Found:
    """The rule that a message belongs to, by its name for people, and what answers."""

    rule: str
    action: Immediate | Running


_NOTHING = Found("no rule and no default", Immediate(TextAnswer(SILENCE), "", ""))
_OPTED_OUT = Found("opt-out word, answered by Twilio", Immediate(TextAnswer(SILENCE), "", ""))


class Dispatcher:
    """Finds the rule of each message."""

    def __init__(self, table: RuleTable[RuleAnswer], default: WrittenAnswer | None) -> None:
        """Take the rules, and the answer to everything else."""
        self.table = table
        self._default = default

    def find(self, message: InboundMessage) -> Found:
        """Return what answers this message; there is always something, if only silence."""
        if message.opt_out_type is not None:
            return _OPTED_OUT  # Advanced Opt-Out has replied already (facts 8)
        match self.match(message):
            case Match(rule=rule, keyword=keyword, argument=argument):
                answer = rule.answer
                if isinstance(answer, Handler):
                    return Found(rule.name, Running(answer, argument, keyword))
                return Found(rule.name, Immediate(answer, argument, keyword))
        if self._default is None:
            return _NOTHING
        return Found("default", Immediate(self._default, message.body.strip(), ""))

    def match(self, message: InboundMessage) -> Match[RuleAnswer] | NoMatch:
        """Match the text against the rules."""
        return self.table.find(message.body, occasion_of(message))


def occasion_of(message: InboundMessage) -> Occasion:
    """Return where and by whom the text was sent, as far as scopes ask for it."""
    return Occasion(
        service_sid=message.service_sid,
        number=message.recipient,
        country=country_of(message.sender, message.from_country),
    )
