"""What a phone shows after a text: the messages, what is still expected, and why there is no reply.

It is put together from the sandbox's phone, which has what arrived, and from the journal, which has why.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import quote

from sms_router.cli.context import START_HINT
from sms_router.cli.output import CommandError
from sms_router.delivery.entry import ReplyKind
from sms_router.delivery.message import SendState
from sms_router.routing.history.record import AnswerRecord, MessageRecord, OutboundAttempt
from sms_router.routing.inbox.answer import Outcome
from sms_router.twilio.segments import count_segments

URL_HINT = "If it listens on another address, use PORT=8001 or --url http://127.0.0.1:8001."

TEXT_TIMEOUT = 50.0
"""Seconds: the webhook and its fallback have 15 each, and the phone waits five for the replies."""

_NOT_FINAL = {"accepted", "queued", "sending", "sent", "waiting"}
"""The statuses after which another one follows."""

_NAMES = {ReplyKind.ANSWER: "reply", ReplyKind.LATE: "late reply", ReplyKind.REPLAY: "replay"}

DELIVERY = "a receipt"
"""What is expected of a message that is on the way."""

_LISTS = ("undelivered", "messages", "on_the_way")

_UNSENT = {SendState.WAITING: "waiting", SendState.SENDING: "sending", SendState.SENT: "queued"}
"""The status of a message of which nothing was reported."""


@dataclass(frozen=True, slots=True)
class OutgoingText:
    """The text that the contact sends."""

    sid: str | None
    sender: str
    recipient: str
    body: str
    media: tuple[str, ...]
    group: tuple[str, ...] = ()
    """The other recipients of a group MMS."""


@dataclass(frozen=True, slots=True)
class PhoneMessage:
    """One message to the contact, with where it comes from."""

    kind: str
    """Such as ``late reply``."""
    sender: str
    body: str
    media: tuple[str, ...] = ()
    sid: str | None = None
    status: str | None = None
    """Twilio's; None for the TwiML of a webhook that this command has sent in place of Twilio."""
    error_code: int | None = None
    rule: str | None = None
    reason: str | None = None
    """Why it leaves from this sender."""

    @property
    def is_final(self) -> bool:
        """Whether no other status follows."""
        return self.status not in _NOT_FINAL

    @property
    def has_failed(self) -> bool:
        return self.error_code is not None or (self.status or "").startswith("not sent")

    @property
    def segments(self) -> int:
        """Segments that Twilio bills for the text."""
        return count_segments(self.body).count

    def with_reason(self, record: MessageRecord | None) -> PhoneMessage:
        """Add the rule and the sender's reason of the answer in the journal."""
        if record is None:
            return self
        return replace(self, rule=record.rule, reason=_reason(record.trail, self.sender))

    def as_json(self) -> dict[str, object]:
        fields = {"from" if name == "sender" else name: value for name, value in asdict(self).items()}
        return fields | {"media": list(self.media), "segments": self.segments}


class TextByPhone:
    """A text that one of the sandbox's phones sends.

    Raises:
        CommandError: when the sandbox does not run or refuses the text, or when nothing answers the webhook.

    """

    def __init__(self, sandbox: str, text: OutgoingText, *, wait: bool) -> None:
        self._sandbox = sandbox
        self._path = f"/sandbox/phones/{quote(text.sender, safe='+')}"
        self._before = {message["sid"] for message in self._show()}
        body = {"to": text.recipient, "body": text.body, "media": text.media, "wait": wait}
        sent = self._call(f"{self._path}/messages", {**body, "other_recipients": text.group})
        if not sent["webhook"]["outcome"].startswith("answered"):
            raise CommandError(*_describe_failure(sent["webhook"]))
        self.sid: str = sent["sid"]
        self._by_twilio = set(sent["by_twilio"])
        self._replies = {message["sid"] for name in _LISTS for message in sent[name]}

    def _show(self) -> Iterator[Mapping[str, Any]]:
        phone = self._call(self._path)
        for name in _LISTS:
            yield from phone[name]

    def messages(self, records: Sequence[MessageRecord]) -> list[PhoneMessage]:
        """Return what came since the text, with what the journal has about it."""
        made = {message.sid: message for record in records for message in sent_by_rest(record)}
        replied = next((record for record in records if not record.is_outbound), None)
        new = (shown for shown in self._show() if shown["sid"] not in self._before)
        return [self._message(shown, made, replied) for shown in new]

    def _message(
        self, shown: Mapping[str, Any], made: Mapping[str | None, PhoneMessage], record: MessageRecord | None
    ) -> PhoneMessage:
        sid, sender = shown["sid"], shown["from"] or ""
        message = PhoneMessage(
            "reply by Twilio" if sid in self._by_twilio else "reply" if sid in self._replies else "message",
            sender,
            shown["body"],
            tuple(shown["media"]),
            sid,
            shown["status"] or "delivered",
            shown.get("error_code"),
        )
        if sid in made:
            return replace(message, kind=made[sid].kind, rule=made[sid].rule, reason=made[sid].reason)
        return message.with_reason(record) if message.kind == "reply" else message

    def alerts(self) -> list[str]:
        """Return the debugger's sentences about the text."""
        alerts = self._call("/sandbox/alerts")["alerts"]
        return [
            f"{alert['error_code']}: {alert['alert_text']}"
            for alert in alerts
            if alert["resource_sid"] == self.sid
        ]

    @property
    def stands_still(self) -> bool:
        """Whether the sandbox's time changes by hand only."""
        return bool(self._call("/sandbox/clock")["manual"])

    def _call(self, path: str, body: Mapping[str, object] | None = None) -> Mapping[str, Any]:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(  # noqa: S310 (an address of this machine)
            f"{self._sandbox}{path}", data, {"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=TEXT_TIMEOUT) as response:
                answer: Mapping[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            sentence = json.loads(error.read() or b"{}").get("error", f"the sandbox answered {error.code}")
            raise CommandError(sentence) from error
        except (OSError, ValueError) as error:
            raise CommandError(
                f"The sandbox does not run at {self._sandbox}.",
                START_HINT,
                "If it listens on another port, use the SANDBOX_PORT of the router.",
            ) from error


def describe_status(status: int) -> tuple[str, ...]:
    """Return what a status means with which the router answers a webhook."""
    if status == 403:
        remedy = "Its TWILIO_AUTH_TOKEN or PUBLIC_URL differs from this command's: see its log."
        return "The router refused the signature (403).", remedy
    if status == 502:
        return ("The handler failed, and the router makes Twilio call the fallback URL (502).",)
    remedy = "See its log, unless another program listens there."
    return f"The router answered {status}.", remedy, URL_HINT


def _describe_failure(webhook: Mapping[str, Any]) -> tuple[str, ...]:
    requests = webhook["requests"]
    if not requests:
        return (f"The sandbox has called no application: {webhook['outcome']}.",)
    first, *hints = describe_status(requests[0]["status"] or 0)
    failures = [
        f"{each['method']} {each['url']}: {each['error_code']}, {each['reason']}" for each in requests
    ]
    return (first if requests[0]["status"] else "The router did not answer.", *failures, *hints)


def sent_by_rest(record: MessageRecord) -> Iterator[PhoneMessage]:
    """Yield the messages of a record that leave by REST, with their present status."""
    sent = {message.sid: message for message in record.sent}
    for attempt in record.attempts:
        answer = _answer_of(record, attempt)
        message = answer.messages[attempt.part.number] if answer and answer.messages else None
        report = sent.get(attempt.sid)
        status = report.status if report is not None and report.status else None
        kind = "message" if record.is_outbound else _NAMES[attempt.part.kind]
        yield PhoneMessage(
            f"re-routed {kind}" if attempt.part.resend else kind,
            attempt.sender or (message.sender if message is not None else None) or "",
            message.body if message is not None else "",
            tuple(message.media) if message is not None else (),
            attempt.sid or None,
            status or _UNSENT.get(attempt.state, f"not sent: {attempt.failure or attempt.state.value}"),
            int(report.error_code) if report is not None and report.error_code.isdigit() else None,
            answer.rule if answer is not None else record.rule,
            f"because of {attempt.reason}"
            if attempt.part.resend
            else _reason(attempt.trail or (answer.trail if answer is not None else ()), attempt.sender),
        )


def _answer_of(record: MessageRecord, attempt: OutboundAttempt) -> AnswerRecord | None:
    replay = record.replay.answer if record.replay is not None else None
    answers = {ReplyKind.ANSWER: record.answer, ReplyKind.LATE: record.late_reply, ReplyKind.REPLAY: replay}
    answer = answers[attempt.part.kind]
    return answer if answer is not None and attempt.part.number < len(answer.messages) else None


def _reason(trail: Sequence[str], sender: str) -> str | None:
    chosen = [line.partition(": chosen: ") for line in trail if ": chosen: " in line]
    return next((why for who, _, why in chosen if who == sender), None)


def expected(records: Sequence[MessageRecord], messages: Sequence[PhoneMessage]) -> Iterator[str]:
    """Yield what is not final yet, in words that follow "waiting for"."""
    for record in records:
        is_late = record.outcome == Outcome.LATE and not record.causes
        is_left = record.outcome == Outcome.FALLBACK and len(record.causes) < 2
        if (is_late or is_left) and record.late_reply is None:
            yield f"the handler of {record.rule}, whose reply leaves by REST"
        if any(attempt.state in (SendState.WAITING, SendState.SENDING) for attempt in record.attempts):
            yield "a message in the outbox"
    if any(message.sid and not message.is_final for message in messages):
        yield DELIVERY
    reported = {sent.sid for record in records for sent in record.sent if sent.status not in _NOT_FINAL}
    if records and any(
        message.error_code is not None and message.sid not in reported and message.kind != "reply by Twilio"
        for message in messages
    ):
        yield "the status callback, which decides about another sender"


def why_no_reply(record: MessageRecord | None) -> str:
    if record is None or record.outcome is None:
        return "the journal has no answer to it"
    rule, trail, late = record.rule or "", "; ".join(record.trail), record.late_reply
    reasons = (
        (rule.startswith("opted out"), "the contact has opted out, and gets nothing until they text START"),
        (rule.startswith("a reaction"), "the text is a reaction, which no rule takes"),
        (rule.startswith("no rule"), "no rule takes the text, and there is no [default]"),
        (": no reply" in rule, rule.partition(": no reply")[0]),
        (late is not None and late.trail, "; ".join(late.trail if late is not None else ())),
        (late is not None, f"{rule} had none when it was ready"),
        (record.outcome == Outcome.LATE, f"{rule} still runs"),
        (record.outcome == Outcome.MUTED, record.trail[-1] if record.trail else ""),
        (record.outcome == Outcome.UNSENDABLE, f"no sender can carry it ({trail})"),
        (trail, trail),
        (True, f"{rule} sends nothing: its reply is empty, or its handler returned None"),
    )
    return next(reason for applies, reason in reasons if applies)
