"""A simulated contact: it sends texts, as Twilio does on behalf of one phone, and checks every answer.

The HTTP client is passed in, so this module depends neither on locust nor on gevent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from loadtests.load.script import Script
from loadtests.workload.answer import InvalidAnswerError, Message, find_fault, parse_answer
from loadtests.workload.contacts import Contact
from loadtests.workload.texts import HELP, NO_REPLY, START, STOP, ExpectedReply, Text
from loadtests.workload.webhook import Request, WebhookBuilder

NOT_REACHED = 0
"""The status of an answer that did not arrive."""

BURST = 4
SAME_CONTACT_SHARE = 0.6
"""Share of the actions that the same contact does; for the others the next contact is taken."""

STATUS_CALLBACK_SHARE = 0.4
"""Share of the replies whose delivery is reported."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request."""

    status: int
    content_type: str = ""
    body: bytes = b""
    error: str = ""
    """Why there is no answer, if there is none."""


Check = Callable[[Answer], str | None]
"""Returns what is wrong with an answer, or None."""


class Client(Protocol):
    """Sends requests and counts the results."""

    def post(self, name: str, request: Request, check: Check) -> Answer:
        """Send a request and return its answer; the result of ``check`` is counted under ``name``."""

    def gather(self, calls: Sequence[Callable[[], Answer | None]]) -> list[Answer | None]:
        """Make calls concurrently."""


class SimulatedContact:
    """Sends the texts of one contact after the other.

    Args:
        client: sends the requests.
        builder: builds and signs them.
        script: the texts and the expected replies.
        contacts: who sends the texts.
        rng: decides what is sent.

    """

    def __init__(
        self,
        client: Client,
        builder: WebhookBuilder,
        script: Script,
        contacts: Iterator[Contact],
        rng: random.Random,
    ) -> None:
        self._client = client
        self._builder = builder
        self._script = script
        self._contacts = contacts
        self._rng = rng
        self._contact = next(contacts)
        self.answered = 0
        """Messages that the router has answered, each counted once."""

    def act(self) -> None:
        """Do one random action."""
        if self._rng.random() > SAME_CONTACT_SHARE:
            self._contact = next(self._contacts)
        actions, weights = zip(*self._weighted_actions(), strict=True)
        self._rng.choices(actions, weights)[0]()

    def _weighted_actions(self) -> Iterator[tuple[Callable[[], None], int]]:
        yield self.send_text, 70
        yield self.send_burst, 6
        yield self.deliver_twice, 8
        yield self.lose_answer, 4
        yield self.forge, 2
        if self._script.fallback_reply is not None:
            yield self.call_fallback_first, 2
        if self._script.opt_outs:
            yield self.opt_out_and_in, 4
        if self._script.slow is not None:
            yield self.call_slow_handler, 5
        if self._script.broken is not None:
            yield self.call_broken_handler, 1

    def send_text(self) -> None:
        """Send one text."""
        self._send("text", self._choose())

    def send_burst(self) -> None:
        """Send several texts at once."""
        texts = [self._choose() for _ in range(BURST)]
        self._client.gather([lambda text=text: self._send("burst", text) for text in texts])  # type: ignore[misc]

    def deliver_twice(self) -> None:
        """Deliver one message twice at once; both requests must get the same bytes."""
        text = self._choose()
        parameters = self._new_message(text)
        expected = text.expected_reply(self._contact)
        answers = self._client.gather(
            [lambda: self._deliver("delivered twice", parameters, expected) for _ in range(2)]
        )
        self._count(answers[0])
        self._expect_same("delivered again", parameters, next(filter(None, answers), None))

    def lose_answer(self) -> None:
        """Call the fallback URL for an answered message; it must return the same bytes."""
        text = self._choose()
        parameters = self._new_message(text)
        answer = self._deliver("answer lost", parameters, text.expected_reply(self._contact))
        self._count(answer)
        fallback = self._builder.fallback_parameters(parameters, 11200)
        self._expect_same("fallback after an answer", fallback, answer, "/sms/fallback")

    def call_fallback_first(self) -> None:
        """Call the fallback URL for a message that has not arrived, then deliver the message."""
        text = self._choose()
        parameters = self._new_message(text)
        assert self._script.fallback_reply is not None
        expected = (
            text.expected_reply(self._contact)
            if text.is_opt_out_keyword
            else ExpectedReply.of(self._script.fallback_reply)
        )
        fallback = self._builder.fallback_parameters(parameters, 11205)
        answer = self._deliver("fallback", fallback, expected, "/sms/fallback")
        self._count(answer)
        self._expect_same("delivered after the fallback", parameters, answer)

    def opt_out_and_in(self) -> None:
        """Send STOP, a text that gets no reply, HELP, and START."""
        text = self._script.texts[0]
        self._send("STOP", STOP)
        try:
            self._send("no reply after STOP", text, NO_REPLY)
            self._send("HELP after STOP", HELP)
        finally:
            self._send("START", START)
        self._send("text after START", text)

    def call_slow_handler(self) -> None:
        """Send a text whose handler is slow."""
        assert self._script.slow is not None
        self._send("slow handler", self._script.slow)

    def call_broken_handler(self) -> None:
        """Send a text whose handler raises."""
        assert self._script.broken is not None
        self._send("broken handler", self._script.broken)

    def forge(self) -> None:
        """Send a message with a wrong signature; it must be refused."""
        parameters = self._new_message(self._choose())
        request = self._builder.post("/sms", parameters, self._new_token())
        headers = {**request.headers, "X-Twilio-Signature": "A" * 27 + "="}
        forged = Request(request.path, request.body, headers)
        self._client.post("forged", forged, _check_refused)

    def _choose(self) -> Text:
        return self._rng.choice(self._script.texts)

    def _new_token(self) -> str:
        return UUID(int=self._rng.getrandbits(128)).hex

    def _new_message(self, text: Text) -> dict[str, str]:
        sid = ("MM" if text.pictures else "SM") + self._new_token()
        return self._builder.inbound_parameters(sid, self._contact, text, to=self._script.to)

    def _send(self, name: str, text: Text, expected: ExpectedReply | None = None) -> Answer | None:
        """Deliver a message, and report the delivery of some of the replies."""
        contact = self._contact
        answer = self._deliver(name, self._new_message(text), expected or text.expected_reply(contact))
        self._count(answer)
        if answer is not None and self._rng.random() < STATUS_CALLBACK_SHARE:
            self._report_delivery(parse_answer(answer.status, answer.content_type, answer.body), contact)
        return answer

    def _deliver(
        self, name: str, parameters: Mapping[str, str], expected: ExpectedReply, path: str = "/sms"
    ) -> Answer | None:
        """Deliver as Twilio does: once more if the router was not reached, then to the fallback URL."""
        contact = self._contact

        def check(answer: Answer) -> str | None:
            return self._find_fault(answer, expected, contact)

        request = self._builder.post(path, parameters, self._new_token())
        answer = self._client.post(name, request, check)
        if answer.status == NOT_REACHED:
            answer = self._client.post(f"{name}, second attempt", request, check)
        if (answer.status == NOT_REACHED or answer.status >= 400) and path == "/sms":
            code = 11205 if answer.status == NOT_REACHED else 11200
            fallback = self._builder.fallback_parameters(parameters, code)
            request = self._builder.post("/sms/fallback", fallback, self._new_token())
            answer = self._client.post(f"{name}, fallback", request, check)
        return answer if _is_valid(answer) else None

    def _expect_same(
        self, name: str, parameters: Mapping[str, str], first: Answer | None, path: str = "/sms"
    ) -> None:
        """Deliver a message once more; the answer must be the first one, byte by byte."""
        if first is None:
            return
        request = self._builder.post(path, parameters, self._new_token())
        self._client.post(name, request, lambda answer: _check_same(answer, first))

    def _find_fault(self, answer: Answer, expected: ExpectedReply, contact: Contact) -> str | None:
        if answer.status == NOT_REACHED:
            return f"not reached: {answer.error}"
        try:
            messages = parse_answer(answer.status, answer.content_type, answer.body)
        except InvalidAnswerError as error:
            return str(error)
        fault = find_fault(messages, expected, None)
        senders = (self._script.find_sender_fault(message.sender, contact) for message in messages)
        return fault or next(filter(None, senders), None)

    def _count(self, answer: Answer | None) -> None:
        self.answered += answer is not None

    def _report_delivery(self, messages: tuple[Message, ...], contact: Contact) -> None:
        """Send the status callbacks of the replies: in order, in reverse, or repeated (facts 7)."""
        for message in messages:
            if message.status_callback is None or message.sender is None:
                continue
            sid = "SM" + self._new_token()
            statuses = self._rng.choice((("sent", "delivered"), ("delivered", "sent"), ("delivered",) * 2))
            for status in statuses:
                parameters = self._builder.status_parameters(sid, contact, message.sender, status)
                request = self._builder.post(message.status_callback, parameters, self._new_token())
                self._client.post("status callback", request, _check_no_content)


def _is_valid(answer: Answer) -> bool:
    try:
        parse_answer(answer.status, answer.content_type, answer.body)
    except InvalidAnswerError:
        return False
    return True


def _check_same(answer: Answer, first: Answer) -> str | None:
    if answer.status == NOT_REACHED:
        return f"not reached: {answer.error}"
    if (answer.status, answer.body) != (first.status, first.body):
        return f"{answer.status} {answer.body!r}, but the first answer was {first.body!r}"
    return None


def _check_refused(answer: Answer) -> str | None:
    if answer.status != 403 or answer.body:
        return f"{answer.status} {answer.body[:80]!r}, expected an empty 403"
    return None


def _check_no_content(answer: Answer) -> str | None:
    return None if answer.status == 204 else f"{answer.status or answer.error}, expected 204"
