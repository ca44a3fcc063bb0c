"""Whatever a router does wrong, the texter notices; what it does right, it takes."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape, quoteattr

import pytest

from loadtests.crowd.people import person
from loadtests.crowd.texts import FALLBACK_REPLY, HELP, START, STOP, Text
from loadtests.crowd.webhook import Account, Caller, Request, Signer
from loadtests.load.script import OWN, Script
from loadtests.load.texter import Answer, Judge, Texter

ACCOUNT = Account("AC" + "1" * 32, "a-token", "MG" + "1" * 32, "https://sms.example.com")
SIGNER = Signer(ACCOUNT.token)
ALL_TEXTS = {text.body: text for text in (*OWN.texts, STOP, START, HELP)}
ACTS = (
    "everyday", "burst", "twice", "unheard", "fallback_first", "opt_out_and_back", "slowly", "break_handler",
    "forge",
)  # fmt: skip


@dataclass
class RightRouter:
    """Answers as it must; the sub-classes below each get one thing wrong."""

    answers: dict[str, bytes] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    receipts: int = 0
    unique: int = 0

    def serve(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        path = request.path.partition("?")[0]
        signature = SIGNER.sign(ACCOUNT.public_url + request.path, form)
        if request.headers["X-Twilio-Signature"] != signature:
            return self.refuse()
        if path == "/sms/status":
            self.receipts += 1
            return self.note()
        return self.answer(form, fallback=path.endswith("fallback"))

    def refuse(self) -> Answer:
        return Answer(403)

    def note(self) -> Answer:
        return Answer(204)

    def answer(self, form: dict[str, str], *, fallback: bool) -> Answer:
        body = self.answers.setdefault(form["MessageSid"], self.document(form, fallback=fallback))
        return Answer(200, "application/xml; charset=utf-8", body)

    def document(self, form: dict[str, str], *, fallback: bool) -> bytes:
        somebody = next(p for p in map(person, itertools.count()) if p.number == form["From"])
        text = self.text_of(form["Body"])
        if text is STOP:
            self.stopped.add(somebody.number)
        elif text is START:
            self.stopped.discard(somebody.number)
        elif somebody.number in self.stopped and text is not HELP:
            return self.silence()
        said = FALLBACK_REPLY if fallback and not text.heeded else self.said(text, somebody.place.city)
        media = () if fallback else text.media
        return self.twiml(said, somebody.answered_from, media)

    def text_of(self, body: str) -> Text:
        slow, broken = OWN.slow, OWN.broken
        assert slow is not None
        assert broken is not None
        return {**ALL_TEXTS, slow.body: slow, broken.body: broken}[body]

    def silence(self) -> bytes:
        return b"<Response/>"

    def said(self, text: Text, city: str) -> str:
        self.unique += 1
        reply = text.reply or ""
        if text.unique:
            return re.sub(r"\[0-9a-f\].*", f"{self.unique:032x}.", reply)
        return reply.format(city=city)

    def twiml(self, said: str, sender: str, media: tuple[str, ...]) -> bytes:
        pictures = "".join(f"<Media>{escape(url)}</Media>" for url in media)
        status = quoteattr(f"{ACCOUNT.public_url}/sms/status?reply=SM1.0")
        return (
            f'<Response><Message from="{sender}" statusCallback={status}>'
            f"<Body>{escape(said)}</Body>{pictures}</Message></Response>"
        ).encode()


class OtherText(RightRouter):
    def said(self, text: Text, city: str) -> str:
        return "Good morning."


class OtherSender(RightRouter):
    def twiml(self, said: str, sender: str, media: tuple[str, ...]) -> bytes:
        return super().twiml(said, "+19995550100", media)


class Forgetful(RightRouter):
    """Answers every delivery anew."""

    def answer(self, form: dict[str, str], *, fallback: bool) -> Answer:
        self.answers.clear()
        answer = super().answer(form, fallback=fallback)
        return Answer(answer.status, answer.content_type, answer.body + b"<!-- %d -->" % self.unique)


class Talkative(RightRouter):
    def silence(self) -> bytes:
        return self.twiml("Still here?", "12345", ())


class Mute(RightRouter):
    def twiml(self, said: str, sender: str, media: tuple[str, ...]) -> bytes:
        return b"<Response/>"


class Trusting(RightRouter):
    def refuse(self) -> Answer:
        return Answer(200, "application/xml", b"<Response/>")


class Failing(RightRouter):
    def answer(self, form: dict[str, str], *, fallback: bool) -> Answer:
        return Answer(502)


class Gone(RightRouter):
    def serve(self, request: Request) -> Answer:
        return Answer(0, trouble="refused")


@dataclass
class DirectWire:
    """Hands requests to a router in this process."""

    router: RightRouter
    counted: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def post(self, name: str, request: Request, judge: Judge) -> Answer:
        answer = self.router.serve(request)
        self.counted.append(name)
        fault = judge(answer)
        if fault is not None:
            self.faults.append(f"{name}: {fault}")
        return answer

    def together(self, calls: Sequence[Callable[[], Answer | None]]) -> list[Answer | None]:
        return [call() for call in calls]


def perform(router: RightRouter, act: str, script: Script = OWN) -> DirectWire:
    wire = DirectWire(router)
    texter = Texter(wire, Caller(ACCOUNT), script, map(person, itertools.count(3)), random.Random(act))
    for _ in range(12):
        getattr(texter, act)()
    return wire


@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_wrong_with_a_router_that_answers_as_it_must(act: str) -> None:
    assert perform(RightRouter(), act).faults == []


ANSWERED = tuple(act for act in ACTS if act != "forge")
REPEATED = ("twice", "unheard", "fallback_first")


@pytest.mark.parametrize(
    ("router", "act"),
    [
        *((OtherSender, act) for act in ANSWERED),
        *((Mute, act) for act in ANSWERED),
        *((Failing, act) for act in ANSWERED),
        *((Forgetful, act) for act in REPEATED),
        *((OtherText, act) for act in ANSWERED if act != "fallback_first"),
        *((Gone, act) for act in ACTS),
        (Talkative, "opt_out_and_back"),
        (Trusting, "forge"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_what_a_router_does_wrong_is_noticed(router: type[RightRouter], act: str) -> None:
    assert perform(router(), act).faults


def test_who_opted_out_has_come_back_in_the_end() -> None:
    router = RightRouter()
    perform(router, "opt_out_and_back")
    assert not router.stopped


def test_deliveries_of_some_answers_are_reported() -> None:
    router = RightRouter()
    wire = perform(router, "everyday")
    assert router.receipts == wire.counted.count("receipt") > 0


def test_a_router_that_cannot_be_reached_is_tried_again_and_then_the_fallback() -> None:
    wire = perform(Gone(), "slowly")
    assert wire.counted[:3] == ["slow handler", "slow handler, tried again", "slow handler, fallback"]


def test_an_error_leads_to_the_fallback_at_once() -> None:
    wire = perform(Failing(), "slowly")
    assert wire.counted[:2] == ["slow handler", "slow handler, fallback"]


def test_each_answered_message_is_counted_once() -> None:
    router = RightRouter()
    wire = DirectWire(router)
    texter = Texter(wire, Caller(ACCOUNT), OWN, map(person, itertools.count()), random.Random(1))
    for _ in range(300):
        texter.act()
    assert wire.faults == []
    assert texter.delivered == len(router.answers)
    assert {"text", "burst", "forged", "STOP", "fallback", "receipt"} <= set(wire.counted)


def test_a_deployment_that_is_not_to_be_opted_out_of_is_not() -> None:
    script = Script(OWN.texts, opt_outs=False, fallback_reply=None, slow=None, broken=None)
    wire = DirectWire(RightRouter())
    texter = Texter(wire, Caller(ACCOUNT), script, map(person, itertools.count()), random.Random(1))
    for _ in range(300):
        texter.act()
    assert wire.faults == []
    assert not {"STOP", "fallback", "slow handler", "broken handler"} & set(wire.counted)
