"""One person at a time, and what Twilio does on their behalf.

The wire is handed in, so that nothing here knows locust or gevent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from loadtests.crowd.answer import Message, NotTwimlError, fault_in, read_answer
from loadtests.crowd.people import Person
from loadtests.crowd.texts import HELP, SILENCE, START, STOP, Due, Text
from loadtests.crowd.webhook import Caller, Request
from loadtests.load.script import Script

NOT_REACHED = 0
"""In place of a status."""

BURST = 4
RETURNS = 0.6
"""Share of the acts that the same person goes on with; otherwise somebody else texts."""

RECEIPTS = 0.4
"""Share of the answers whose delivery is reported."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request."""

    status: int
    content_type: str = ""
    body: bytes = b""
    trouble: str = ""
    """Why nothing came, where nothing did."""


Judge = Callable[[Answer], str | None]
"""Says what is wrong with an answer, or None."""


class Wire(Protocol):
    """Sends requests and counts how they went."""

    def post(self, name: str, request: Request, judge: Judge) -> Answer:
        """Send one and return its answer; what ``judge`` says of it is counted under ``name``."""

    def together(self, calls: Sequence[Callable[[], Answer | None]]) -> list[Answer | None]:
        """Make calls at the same time."""


class Texter:
    """A phone that texts, changes hands, and sometimes opts out."""

    def __init__(
        self, wire: Wire, caller: Caller, script: Script, people: Iterator[Person], dice: random.Random
    ) -> None:
        self._wire = wire
        self._caller = caller
        self._script = script
        self._people = people
        self._dice = dice
        self._person = next(people)
        self.delivered = 0
        """Messages that the router has answered, each once."""

    def act(self) -> None:
        """Do one of the things that people and Twilio do."""
        if self._dice.random() > RETURNS:
            self._person = next(self._people)
        acts, weights = zip(*self._acts(), strict=True)
        self._dice.choices(acts, weights)[0]()

    def _acts(self) -> Iterator[tuple[Callable[[], None], int]]:
        yield self.everyday, 70
        yield self.burst, 6
        yield self.twice, 8
        yield self.unheard, 4
        yield self.forge, 2
        if self._script.fallback_reply is not None:
            yield self.fallback_first, 2
        if self._script.opt_outs:
            yield self.opt_out_and_back, 4
        if self._script.slow is not None:
            yield self.slowly, 5
        if self._script.broken is not None:
            yield self.break_handler, 1

    def everyday(self) -> None:
        """Text something, once."""
        self._text("text", self._choose())

    def burst(self) -> None:
        """Text several things at once."""
        texts = [self._choose() for _ in range(BURST)]
        self._wire.together([lambda text=text: self._text("burst", text) for text in texts])  # type: ignore[misc]

    def twice(self) -> None:
        """Have one message delivered twice at once; both must be answered with the same bytes."""
        text = self._choose()
        parameters = self._new(text)
        due = text.due(self._person)
        answers = self._wire.together(
            [lambda: self._deliver("delivered twice", parameters, due) for _ in range(2)]
        )
        self._count(answers[0])
        self._same("delivered again", parameters, next(filter(None, answers), None))

    def unheard(self) -> None:
        """Lose the answer on the way; the fallback URL must give the same one."""
        text = self._choose()
        parameters = self._new(text)
        answer = self._deliver("answer lost", parameters, text.due(self._person))
        self._count(answer)
        fallback = self._caller.fallback(parameters, 11200)
        self._same("fallback after an answer", fallback, answer, "/sms/fallback")

    def fallback_first(self) -> None:
        """Call the fallback URL for a message that never arrived; it is answered once all the same."""
        text = self._choose()
        parameters = self._new(text)
        assert self._script.fallback_reply is not None
        due = text.due(self._person) if text.heeded else Due.of(self._script.fallback_reply)
        fallback = self._caller.fallback(parameters, 11205)
        answer = self._deliver("fallback", fallback, due, "/sms/fallback")
        self._count(answer)
        self._same("delivered after the fallback", parameters, answer)

    def opt_out_and_back(self) -> None:
        """Text STOP, hear nothing more, ask for help, and come back."""
        text = self._script.texts[0]
        self._text("STOP", STOP)
        try:
            self._text("silence after STOP", text, SILENCE)
            self._text("HELP after STOP", HELP)
        finally:
            self._text("START", START)
        self._text("back after START", text)

    def slowly(self) -> None:
        """Text what a slow handler answers."""
        assert self._script.slow is not None
        self._text("slow handler", self._script.slow)

    def break_handler(self) -> None:
        """Text what a handler fails over."""
        assert self._script.broken is not None
        self._text("broken handler", self._script.broken)

    def forge(self) -> None:
        """Send what somebody else signed; nobody may answer that."""
        parameters = self._new(self._choose())
        request = self._caller.post("/sms", parameters, self._token())
        headers = {**request.headers, "X-Twilio-Signature": "A" * 27 + "="}
        forged = Request(request.path, request.body, headers)
        self._wire.post("forged", forged, _refused)

    def _choose(self) -> Text:
        return self._dice.choice(self._script.texts)

    def _token(self) -> str:
        return UUID(int=self._dice.getrandbits(128)).hex

    def _new(self, text: Text) -> dict[str, str]:
        sid = ("MM" if text.pictures else "SM") + self._token()
        return self._caller.inbound(sid, self._person, text, to=self._script.to)

    def _text(self, name: str, text: Text, due: Due | None = None) -> Answer | None:
        """Deliver a message; report the delivery of what was answered, now and then."""
        somebody = self._person
        answer = self._deliver(name, self._new(text), due or text.due(somebody))
        self._count(answer)
        if answer is not None and self._dice.random() < RECEIPTS:
            self._report(read_answer(answer.status, answer.content_type, answer.body), somebody)
        return answer

    def _deliver(
        self, name: str, parameters: Mapping[str, str], due: Due, path: str = "/sms"
    ) -> Answer | None:
        """Deliver as Twilio does: once more when nobody was reached, then to the fallback URL."""
        somebody = self._person

        def judge(answer: Answer) -> str | None:
            return self._fault(answer, due, somebody)

        request = self._caller.post(path, parameters, self._token())
        answer = self._wire.post(name, request, judge)
        if answer.status == NOT_REACHED:
            answer = self._wire.post(f"{name}, tried again", request, judge)
        if (answer.status == NOT_REACHED or answer.status >= 400) and path == "/sms":
            code = 11205 if answer.status == NOT_REACHED else 11200
            fallback = self._caller.fallback(parameters, code)
            request = self._caller.post("/sms/fallback", fallback, self._token())
            answer = self._wire.post(f"{name}, fallback", request, judge)
        return answer if self._understood(answer) else None

    def _same(
        self, name: str, parameters: Mapping[str, str], first: Answer | None, path: str = "/sms"
    ) -> None:
        """Deliver a message once more; its answer must be the first one, byte by byte."""
        if first is None:
            return
        request = self._caller.post(path, parameters, self._token())
        self._wire.post(name, request, lambda answer: _differs(answer, first))

    def _fault(self, answer: Answer, due: Due, somebody: Person) -> str | None:
        if answer.status == NOT_REACHED:
            return f"not reached: {answer.trouble}"
        try:
            messages = read_answer(answer.status, answer.content_type, answer.body)
        except NotTwimlError as error:
            return str(error)
        fault = fault_in(messages, due, None)
        senders = (self._script.fault_of_sender(message.sender, somebody) for message in messages)
        return fault or next(filter(None, senders), None)

    def _understood(self, answer: Answer) -> bool:
        try:
            read_answer(answer.status, answer.content_type, answer.body)
        except NotTwimlError:
            return False
        return True

    def _count(self, answer: Answer | None) -> None:
        self.delivered += answer is not None

    def _report(self, messages: tuple[Message, ...], somebody: Person) -> None:
        """Report how the replies fared: in order, backwards, or twice (facts 7)."""
        for message in messages:
            if message.receipts is None or message.sender is None:
                continue
            sid = "SM" + self._token()
            statuses = self._dice.choice((("sent", "delivered"), ("delivered", "sent"), ("delivered",) * 2))
            for status in statuses:
                parameters = self._caller.receipt(sid, somebody, message.sender, status)
                request = self._caller.post(message.receipts, parameters, self._token())
                self._wire.post("receipt", request, _taken_note_of)


def _differs(answer: Answer, first: Answer) -> str | None:
    if answer.status == NOT_REACHED:
        return f"not reached: {answer.trouble}"
    if (answer.status, answer.body) != (first.status, first.body):
        return f"{answer.status} {answer.body!r} where {first.body!r} was the first answer"
    return None


def _refused(answer: Answer) -> str | None:
    if answer.status != 403 or answer.body:
        return f"{answer.status} {answer.body[:80]!r} where an empty 403 is due"
    return None


def _taken_note_of(answer: Answer) -> str | None:
    return None if answer.status == 204 else f"{answer.status or answer.trouble} where 204 is due"
