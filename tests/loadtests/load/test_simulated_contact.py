"""A simulated contact reports what a router does wrong, and nothing else."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape, quoteattr

import pytest

from loadtests.load.script import LOCAL_SCRIPT, Script
from loadtests.load.simulated_contact import Answer, Check, SimulatedContact
from loadtests.workload.contacts import make_contact
from loadtests.workload.texts import FALLBACK_REPLY, HELP, START, STOP, Text
from loadtests.workload.webhook import Account, Request, Signer, WebhookBuilder

ACCOUNT = Account("AC" + "1" * 32, "a-token", "MG" + "1" * 32, "https://sms.example.com")
SIGNER = Signer(ACCOUNT.token)
ALL_TEXTS = {text.body: text for text in (*LOCAL_SCRIPT.texts, STOP, START, HELP)}
ACTIONS = (
    "send_text", "send_burst", "deliver_twice", "lose_answer", "call_fallback_first", "opt_out_and_in",
    "call_slow_handler", "call_broken_handler", "forge",
)  # fmt: skip


@dataclass
class CorrectRouter:
    """Answers correctly; each of the sub-classes below does one thing wrong."""

    answers: dict[str, bytes] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    status_callbacks: int = 0
    replies: int = 0

    def serve(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        path = request.path.partition("?")[0]
        signature = SIGNER.sign(ACCOUNT.public_url + request.path, form)
        if request.headers["X-Twilio-Signature"] != signature:
            return self.refuse()
        if path == "/sms/status":
            self.status_callbacks += 1
            return self.no_content()
        return self.answer(form, fallback=path.endswith("fallback"))

    def refuse(self) -> Answer:
        return Answer(403)

    def no_content(self) -> Answer:
        return Answer(204)

    def answer(self, form: dict[str, str], *, fallback: bool) -> Answer:
        body = self.answers.setdefault(form["MessageSid"], self.document(form, fallback=fallback))
        return Answer(200, "application/xml; charset=utf-8", body)

    def document(self, form: dict[str, str], *, fallback: bool) -> bytes:
        contact = next(each for each in map(make_contact, itertools.count()) if each.number == form["From"])
        text = self.text_of(form["Body"])
        if text is STOP:
            self.stopped.add(contact.number)
        elif text is START:
            self.stopped.discard(contact.number)
        elif contact.number in self.stopped and text is not HELP:
            return self.no_reply()
        if fallback and not text.is_opt_out_keyword:
            return self.twiml(FALLBACK_REPLY, contact.expected_sender, ())
        media = () if fallback else text.media
        return self.twiml(self.reply_text(text, contact.locality.city), contact.expected_sender, media)

    def text_of(self, body: str) -> Text:
        slow, broken = LOCAL_SCRIPT.slow, LOCAL_SCRIPT.broken
        assert slow is not None
        assert broken is not None
        return {**ALL_TEXTS, slow.body: slow, broken.body: broken}[body]

    def no_reply(self) -> bytes:
        return b"<Response/>"

    def reply_text(self, text: Text, city: str) -> str:
        self.replies += 1
        reply = text.reply or ""
        if text.is_unique:
            return re.sub(r"\[0-9a-f\].*", f"{self.replies:032x}.", reply)
        return reply.format(city=city)

    def twiml(self, text: str, sender: str, media: tuple[str, ...]) -> bytes:
        pictures = "".join(f"<Media>{escape(url)}</Media>" for url in media)
        status = quoteattr(f"{ACCOUNT.public_url}/sms/status?reply=SM1.0")
        return (
            f'<Response><Message from="{sender}" statusCallback={status}>'
            f"<Body>{escape(text)}</Body>{pictures}</Message></Response>"
        ).encode()


class OtherText(CorrectRouter):
    def reply_text(self, text: Text, city: str) -> str:
        return "Good morning."


class OtherSender(CorrectRouter):
    def twiml(self, text: str, sender: str, media: tuple[str, ...]) -> bytes:
        return super().twiml(text, "+19995550100", media)


class ForgetsAnswers(CorrectRouter):
    """Gives another answer to each delivery."""

    def answer(self, form: dict[str, str], *, fallback: bool) -> Answer:
        self.answers.clear()
        answer = super().answer(form, fallback=fallback)
        return Answer(answer.status, answer.content_type, answer.body + b"<!-- %d -->" % self.replies)


class RepliesAfterStop(CorrectRouter):
    def no_reply(self) -> bytes:
        return self.twiml("Still here?", "12345", ())


class NeverReplies(CorrectRouter):
    def twiml(self, text: str, sender: str, media: tuple[str, ...]) -> bytes:
        return b"<Response/>"


class AcceptsForgeries(CorrectRouter):
    def refuse(self) -> Answer:
        return Answer(200, "application/xml", b"<Response/>")


class Failing(CorrectRouter):
    def answer(self, form: dict[str, str], *, fallback: bool) -> Answer:
        return Answer(502)


class Unreachable(CorrectRouter):
    def serve(self, request: Request) -> Answer:
        return Answer(0, error="refused")


@dataclass
class DirectClient:
    """Calls a router in this process."""

    router: CorrectRouter
    counted: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def post(self, name: str, request: Request, check: Check) -> Answer:
        answer = self.router.serve(request)
        self.counted.append(name)
        fault = check(answer)
        if fault is not None:
            self.faults.append(f"{name}: {fault}")
        return answer

    def gather(self, calls: Sequence[Callable[[], Answer | None]]) -> list[Answer | None]:
        return [call() for call in calls]


def simulate(client: DirectClient, seed: str | int, script: Script = LOCAL_SCRIPT) -> SimulatedContact:
    contacts = map(make_contact, itertools.count(3))
    return SimulatedContact(client, WebhookBuilder(ACCOUNT), script, contacts, random.Random(seed))


def perform(router: CorrectRouter, action: str) -> DirectClient:
    client = DirectClient(router)
    simulated = simulate(client, action)
    for _ in range(12):
        getattr(simulated, action)()
    return client


@pytest.mark.parametrize("action", ACTIONS)
def test_a_correct_router_has_no_faults(action: str) -> None:
    assert perform(CorrectRouter(), action).faults == []


ANSWERED = tuple(action for action in ACTIONS if action != "forge")
REPEATED = ("deliver_twice", "lose_answer", "call_fallback_first")


@pytest.mark.parametrize(
    ("router", "action"),
    [
        *((OtherSender, action) for action in ANSWERED),
        *((NeverReplies, action) for action in ANSWERED),
        *((Failing, action) for action in ANSWERED),
        *((ForgetsAnswers, action) for action in REPEATED),
        *((OtherText, action) for action in ANSWERED if action != "call_fallback_first"),
        *((Unreachable, action) for action in ACTIONS),
        (RepliesAfterStop, "opt_out_and_in"),
        (AcceptsForgeries, "forge"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_what_a_router_does_wrong_is_reported(router: type[CorrectRouter], action: str) -> None:
    assert perform(router(), action).faults


def test_a_contact_who_opted_out_opts_in_again() -> None:
    router = CorrectRouter()
    perform(router, "opt_out_and_in")
    assert not router.stopped


def test_some_replies_get_status_callbacks() -> None:
    router = CorrectRouter()
    client = perform(router, "send_text")
    assert router.status_callbacks == client.counted.count("status callback") > 0


def test_a_router_that_is_not_reached_is_called_twice_and_then_its_fallback() -> None:
    client = perform(Unreachable(), "call_slow_handler")
    assert client.counted[:3] == ["slow handler", "slow handler, second attempt", "slow handler, fallback"]


def test_an_error_leads_to_the_fallback_without_a_second_attempt() -> None:
    client = perform(Failing(), "call_slow_handler")
    assert client.counted[:2] == ["slow handler", "slow handler, fallback"]


def test_each_answered_message_is_counted_once() -> None:
    router = CorrectRouter()
    client = DirectClient(router)
    simulated = simulate(client, 1)
    for _ in range(300):
        simulated.act()
    assert client.faults == []
    assert simulated.answered == len(router.answers)
    assert {"text", "burst", "forged", "STOP", "fallback", "status callback"} <= set(client.counted)


def test_a_script_without_opt_outs_fallback_and_handlers_does_not_use_them() -> None:
    script = Script(LOCAL_SCRIPT.texts, opt_outs=False, fallback_reply=None, slow=None, broken=None)
    client = DirectClient(CorrectRouter())
    simulated = simulate(client, 1, script)
    for _ in range(300):
        simulated.act()
    assert client.faults == []
    assert not {"STOP", "fallback", "slow handler", "broken handler"} & set(client.counted)
