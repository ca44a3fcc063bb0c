"""Runs of two workers are run again on a server that has lost the last of them, some of them, or none."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from sms_router.delivery.entry import OutboxEntry
from sms_router.store import scripts
from sms_router.store.keys import bucket_of
from sms_router.store.redis_py import run_script
from sms_router.store.scripts import outbox
from sms_router.store.scripts.loader import SCRIPTS, Call
from sms_router.store.scripts.reruns import REPEATABLE, ScriptRun, plan_reruns

CONTACT, SCOPE, RETENTION = "+14155550100", "MG1", 600_000
BUCKET = bucket_of(CONTACT)
NOW = 1_000.0
SENT = json.dumps({"state": "sent", "sid": "SMx"})


NOT_REPEATED = {
    "check_schema", "count_reply", "event_claim", "event_finish", "expire_conversation", "get_contact",
    "find_denied", "get_time", "load_cookies", "mark_opt_outs", "mark_texted",
    "outbox_lease_due", "outbox_release", "outbox_restore", "publish",
    "publish_rules", "read_opt_outs", "read_session", "record_abandoned", "remove_bodies", "renew_lease",
    "replace_checklist", "request_replay", "restore_hash", "save_cookies", "start_conversation",
    "store_snapshot", "sync_rates",
}  # fmt: skip
"""They write nothing, are repeated by themselves, run by redis-py, or would count twice."""


def steps_of(kind: str, number: int, rng: random.Random) -> Iterator[tuple[int, Call]]:
    """Yield a message's runs, each with the worker that makes it."""
    reference, worker = f"AC/SM{kind}{number}", rng.randrange(2)
    contact: dict[str, Any] = {"contact": CONTACT, "reference": reference}
    claim = scripts.claim(
        scope=SCOPE, owner=b"w%d" % worker, lease_ms=3000, retention_ms=RETENTION, request=b"Body=x",
        is_fallback=b"0", arrived=b"", **contact,
    )  # fmt: skip
    answer: dict[str, Any] = {"answer": b"<a%d/>" % number, "outcome": "reply", "trail": b"{}"}
    if kind == "late":
        answer |= {"answer": b"<Response/>", "outcome": "late"}
    if kind == "template":
        yield worker, scripts.claim_prepared(claim, counter=None, **answer)
        return
    entry = OutboxEntry(reference, "late", SCOPE, CONTACT)
    if kind == "scheduled":
        yield worker, outbox.schedule(
            document=b"<a/>", trail=b"{}", reason="", entry_suffix=entry.contact_suffix, count=1, due=2**42,
            retention_ms=RETENTION, request=b"Body=x", empty_answer=b"<Response/>", **contact,
        )  # fmt: skip
        if rng.randrange(2):
            yield worker, outbox.cancel(entry_suffix=entry.contact_suffix, **contact)
        return
    yield worker, claim
    if kind == "unfinished":
        return
    if kind == "stop":
        yield worker, scripts.change_consent(
            scope=SCOPE, contact=f"{CONTACT}{number}", message=None, request="stop", source="keyword",
            requested_at=number + 1, ttl_ms=RETENTION, consent_ttl_ms=RETENTION,
        )  # fmt: skip
    work = entry.line if kind == "late" else b""
    yield worker, scripts.commit(
        retention_ms=RETENTION, cause=b"", work=work, owner=b"w%d" % worker, lease_ms=3000, counter=None,
        **contact, **answer,
    )  # fmt: skip
    if kind != "late":
        return
    yield worker, outbox.enqueue(
        kind="late", document=b"<late/>", trail=b"{}", reason="", work=work, count=1, cause=b"", since=b"",
        entry_suffix=entry.contact_suffix, retention_ms=RETENTION, request=b"Body=x", received=1,
        empty_answer=b"<Response/>", **contact,
    )  # fmt: skip
    sender, line, last = rng.randrange(2), entry._replace(name="late.0").line, rng.randrange(4)
    part: dict[str, Any] = {"entry": line, "part": "late.0", **contact}
    if last > 0:
        yield sender, outbox.mark_sending(
            scope=SCOPE, document_field="late", max_age_ms=RETENTION * 10**7, sending_ms=180_000,
            retention_ms=RETENTION, mark=f"m{number}", lease_ms=15_000, part_before="", **part,
        )  # fmt: skip
    if last > 1:
        yield sender, outbox.record_result(
            send=SENT, sid="SMx", reply_reference="r", retention_ms=RETENTION, cause=b"", resend_entry=b"",
            resend_part="", resend="", **part,
        )  # fmt: skip


def schedule(rng: random.Random) -> list[tuple[int, Call]]:
    kinds = ("template", "handler", "stop", "late", "late", "unfinished", "scheduled")
    messages = [list(steps_of(rng.choice(kinds), number, rng)) for number in range(12)]
    order = [message for message in messages for _ in message]
    rng.shuffle(order)
    return [message.pop(0) for message in order]


def rerun(valkey: redis.Redis, runs: list[ScriptRun]) -> None:
    for call in plan_reruns(runs, lambda moment: int(moment * 1000)):
        run_script(valkey, call)


def state_of(valkey: Any) -> dict[str, Any]:
    """Return what users see: answers, journal, dead letters, opt-outs, and the states of late replies."""
    messages: dict[str, Any] = {}
    for key in sorted(valkey.scan_iter(BUCKET.message("*"))):
        fields = valkey.hgetall(key)
        send = json.loads(fields.get(b"send:late.0", b"{}")).get("state")
        answer = fields.get(b"answer"), fields.get(b"outcome"), fields.get(b"late"), fields.get(b"request")
        messages[key.decode()] = (*answer, send, valkey.ttl(key) > 0)
    return messages | {
        "journal": sorted(fields[b"message"] for _, fields in valkey.xrange(BUCKET.journal)),
        "dead letters": valkey.xlen(BUCKET.dead_letters),
        "opt-outs": {key: valkey.hget(key, ":opt-out") for key in valkey.scan_iter("*:contact:*")},
        "outbox": sorted(valkey.zrange(BUCKET.outbox, 0, -1)),
        "scheduled": valkey.zrange(BUCKET.scheduled, 0, -1, withscores=True),
    }


def test_of_each_script_it_is_decided_whether_it_runs_again() -> None:
    assert SCRIPTS.keys() == REPEATABLE | NOT_REPEATED
    assert not REPEATABLE & NOT_REPEATED


@pytest.mark.parametrize(
    ("description", "is_repeated"), [(b"1796000000", True), ("1796000000 1 ::1 x", False)]
)
def test_only_the_end_of_a_session_is_repeated(description: str | bytes, is_repeated: bool) -> None:
    call = scripts.write_session(digest="d", description=str(description), now=1, ttl_ms=RETENTION)
    script, keys, (digest, _, *rest) = call
    run = ScriptRun(NOW, (script, keys, (digest, description, *rest)), 1)
    assert bool(plan_reruns([run], lambda _: 1)) is is_repeated


@pytest.mark.parametrize("seed", range(25))
def test_what_was_lost_is_there_again_and_nothing_twice(valkey: redis.Redis, seed: int) -> None:
    rng = random.Random(seed)
    steps = schedule(rng)
    logs: tuple[list[ScriptRun], list[ScriptRun]] = ([], [])
    for worker, call in steps:
        is_late = rng.random() < 0.3 and call[0].name in {"commit", "outbox_enqueue", "outbox_record_result"}
        if is_late:  # its caller has timed out, and the same call runs again from the spool
            run_script(valkey, call)
        logs[worker].append(ScriptRun(NOW, call, run_script(valkey, call)))
    expected = state_of(valkey)

    remaining = rng.choice((0, len(steps), rng.randrange(len(steps))))
    if remaining < len(steps):
        valkey.flushdb()
        for _, call in steps[:remaining]:
            run_script(valkey, call)
    for worker in (*rng.choices((0, 1), k=3), 0, 1):
        rerun(valkey, logs[worker])

    assert state_of(valkey) == expected
    if remaining == 0:  # a reply of which nothing more is known waits for the worker that may have sent it
        assert not valkey.zcount(BUCKET.outbox, "-inf", (valkey.time()[0] + 10) * 1000)


def test_an_answer_that_was_given_elsewhere_meanwhile_is_the_second_one(valkey: redis.Redis) -> None:
    first = next(steps_of("template", 1, random.Random(0)))[1]
    run = ScriptRun(NOW, first, run_script(valkey, first))
    valkey.flushdb()
    script, keys, arguments = first
    run_script(valkey, (script, keys, (*arguments[:7], b"<other/>", *arguments[8:])))
    rerun(valkey, [run])
    stored = valkey.hgetall(keys[0])
    assert (stored[b"answer"], stored[b"second"]) == (b"<other/>", b"<a1/>")
    assert valkey.xlen(BUCKET.journal) == 1
