"""Which scripts run again on a server that may have lost their effect, and how.

What is stored counts: on a server that has lost nothing they change nothing, however often and in whatever
order the workers run theirs. Nothing is sent and no handler runs because of them: a reply that waits is due
only after `RESEND_DELAY_MS`, when the worker that has sent it has stored that again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sms_router.store.connection import Argument, RedisReply
from sms_router.store.keys import ALL_BUCKETS, ANSWERED_CHANNEL
from sms_router.store.scripts import outbox
from sms_router.store.scripts.loader import SCRIPTS, Call

RESEND_DELAY_MS = 15_000
"""Until a reply is sent of which this worker does not know whether another one has sent it."""

_BUCKET_OF_JOURNAL = {bucket.journal: bucket for bucket in ALL_BUCKETS}
_AS_IT_WAS = frozenset(
    {
        "release",
        "annotate",
        "change_consent",
        "change_suspected",
        "record_evidence",
        "set_sticky_sender",
        "raise_event",
        "store_profile",
    }
)
_REPLY = frozenset({"outbox_enqueue", "outbox_schedule", "outbox_cancel", "outbox_mark_sending",
                    "outbox_postpone", "outbox_record_result", "record_receipt"})  # fmt: skip
_MESSAGE = frozenset({"claim", "claim_prepared", "commit", "outbox_claim", "journal_missed", "write_session"})

REPEATABLE = frozenset(
    name for name in SCRIPTS if name.removesuffix("_in_conversation") in _AS_IT_WAS | _REPLY | _MESSAGE
)
"""The names of the scripts that `plan_reruns` takes into account."""


class ScriptRun(NamedTuple):
    """One run that has succeeded."""

    ended: float
    """By the monotonic clock."""
    call: Call
    response: RedisReply


class _Named(NamedTuple):
    name: str
    """Without the suffix of the variant for conversations."""
    key: bytes
    """The first one: of the message, the contact or the receipt."""
    arguments: dict[str, Argument]
    status: Any
    """What the script returned, or the first part of it."""
    run: ScriptRun

    def text(self, name: str) -> str:
        """Return an argument as text; from the spool each is bytes."""
        argument = self.arguments[name]
        return argument.decode("utf-8", "replace") if isinstance(argument, bytes) else str(argument)


class _History:
    """What the runs tell together."""

    def __init__(self, runs: Sequence[ScriptRun], time_of: Callable[[float], int]) -> None:
        self.runs = [_name(run) for run in runs]
        self.time_of = time_of
        claims = ((run.key, run) for run in self.runs if run.name in {"claim", "claim_prepared"})
        self.claims = {key: run for key, run in claims if run.status == b"claimed"}
        self.ended = {run.key for run in self.runs if run.name in {"commit", "release"}}
        """Messages that have an answer, or wait for Twilio's fallback request."""
        enqueued = (run for run in self.runs if run.name == "outbox_enqueue")
        self.enqueued = {(run.key, run.text("kind")) for run in enqueued}


def plan_reruns(runs: Sequence[ScriptRun], time_of: Callable[[float], int]) -> list[Call]:
    """Return what is run again, in this order; ``time_of`` makes milliseconds by Redis' clock of a run's end.

    A message that was committed is stored again with its request by the commit alone. What became of the
    messages of the outbox comes before they are put into it. A run that has changed nothing counts too where
    an earlier one with the same arguments may have: its caller had given up, and it came from the spool.
    """
    history = _History(runs, time_of)
    first, sends, replies = [], dict[tuple[bytes, str], Call](), list[Call]()
    for run in history.runs:
        given = time_of(run.run.ended)
        if run.name == "outbox_cancel" and run.status:
            replies.append(run.run.call)
        elif run.name == "outbox_schedule":  # it may replace one that was cancelled
            others = [reply for reply in replies if reply[1][0] != run.key]
            if run.status or len(others) == len(replies):
                replies = [*others, _changed(run, delay_ms=RESEND_DELAY_MS, given=given)]
        elif run.name == "outbox_enqueue":
            if run.status == 1 or run.arguments["request"]:
                replies.append(_changed(run, enqueued_at=given, delay_ms=RESEND_DELAY_MS))
        elif (call := _rerun(run, given, history)) is not None:
            first.append(call)
        _note_sends(sends, run, given)
    return [*first, *sends.values(), *replies]


def _rerun(run: _Named, given: int, history: _History) -> Call | None:
    """Return how a run is repeated that concerns a message until its answer, or the contact."""
    (_, call, response), arguments = run.run, run.arguments
    match run.name, run.status:
        case "claim_prepared", b"stored":
            return _commit_prepared(run, given)
        case "claim" | "claim_prepared", b"claimed" if run.key not in history.ended:
            is_prepared = run.name == "claim_prepared"
            return (SCRIPTS["claim"], call[1][:3], call[2][:7]) if is_prepared else call
        case "commit", 0 | 1 | 4 if run.status != 0 or response[1] == arguments["answer"]:
            changes: dict[str, Argument] = {"max_replies": b""}
            changes["given"] = arguments["given"] or given
            if not arguments["request"] and (claim := history.claims.get(run.key)) is not None:
                changes["request"] = claim.arguments["request"]
                changes["received"] = claim.arguments["arrived"] or history.time_of(claim.run.ended)
            if (run.key, "late") in history.enqueued:
                changes |= {"work": b"", "owner": b""}
            return _changed(run, **changes)
        case "journal_missed", 1 | 2:  # with work a handler would run, perhaps once more: reconcile finds it
            is_enqueued = (run.key, "late") in history.enqueued
            return _changed(run, work=b"") if is_enqueued or not arguments["work"] else None
        case "record_receipt", _:
            return _changed(run, resend_part=b"")
    runs_again = run.name in _AS_IT_WAS
    if run.name == "write_session":  # its end alone: another worker may have ended one that this one began
        runs_again = run.text("description").isdigit()
    elif run.name == "outbox_claim" and run.status == b"claimed":
        runs_again = (run.key, run.text("kind")) not in history.enqueued
    return call if runs_again else None


def _note_sends(sends: dict[tuple[bytes, str], Call], run: _Named, given: int) -> None:
    """Note what has become of messages of the outbox; the last that is known of each counts."""
    arguments = run.arguments
    match run.name, run.status:
        case "outbox_mark_sending", b"go":
            mark = {"state": "sending", "at": given, "mark": run.text("mark")}
            send = json.dumps(json.loads(run.run.response[3]) | mark)
            sends[run.key, run.text("part")] = _restore(run, send=send, due_ms=arguments["sending_ms"])
        case "outbox_postpone", 1:
            sends.pop((run.key, run.text("part")), None)
        case "outbox_record_result", _:
            names = ("send", "sid", "reply_reference", "cause")
            sends[run.key, run.text("part")] = _restore(run, **{name: arguments[name] for name in names})
            if arguments["resend_entry"]:
                sends[run.key, run.text("resend_part")] = _restore_resend(run, arguments["resend"])
        case "record_receipt", 1 if isinstance(run.run.response, list) and run.run.response[2] == 1:
            waiting = {"state": "waiting", "at": given, "resend_of": run.text("sid")}
            waiting |= {"reason": run.text("reason"), "failed_sender": run.text("sender")}
            key = run.run.call[1][1], run.text("resend_part")
            sends[key] = _restore_resend(run, json.dumps(waiting))


def _name(run: ScriptRun) -> _Named:
    script, keys, arguments = run.call
    status = run.response[0] if isinstance(run.response, list) else run.response
    named = dict(zip(script.arguments, arguments, strict=True))
    return _Named(script.name.removesuffix("_in_conversation"), keys[0], named, status, run)


def _commit_prepared(run: _Named, given: int) -> Call:
    """Return the commit of an answer that was stored with its claim."""
    message, journal, *_ = run.run.call[1]
    bucket = _BUCKET_OF_JOURNAL[journal]
    values: dict[str, Argument] = dict.fromkeys(SCRIPTS["commit"].arguments, b"")
    values |= {name: value for name, value in run.arguments.items() if name in values}
    values |= {"received": run.arguments["arrived"] or given, "given": given}
    values |= {"max_replies": b"", "owner": b"", "lease_ms": b"", "channel": ANSWERED_CHANNEL}
    keys = (message, journal, bucket.dead_letters, bucket.outbox, message)
    return SCRIPTS["commit"], keys, tuple(values.values())


def _changed(run: _Named, **changes: Argument) -> Call:
    script, keys, _ = run.run.call
    return script, keys, tuple((run.arguments | changes).values())


def _restore_resend(run: _Named, send: Argument) -> Call:
    entry, part = run.arguments["resend_entry"], run.arguments["resend_part"]
    return _restore(run, entry=entry, part=part, send=send, due_ms=RESEND_DELAY_MS)


def _restore(run: _Named, **values: Argument) -> Call:
    keys = run.run.call[1]
    is_receipt = run.name == "record_receipt"
    message, outbox_key, dead_letters = (keys[1], *keys[4:6]) if is_receipt else (*keys[:2], keys[-1])
    shared = {name: run.arguments[name] for name in ("entry", "reference", "part", "retention_ms")
              if name in run.arguments}  # fmt: skip
    nothing: dict[str, Argument] = {"sid": b"", "reply_reference": b"", "cause": b"", "due_ms": b""}
    return outbox.restore(
        message=message, outbox=outbox_key, dead_letters=dead_letters, **nothing | shared | values
    )
