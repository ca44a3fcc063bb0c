"""The ledger of consent: its entries, and an export that shows when it was changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.opt_outs.evidence import (
    Event,
    Evidence,
    How,
    LedgerEntry,
    read_all,
    read_ledger,
    to_csv,
    to_json,
    verify,
)
from sms_router.senders.error_table import load_error_table
from sms_router.store.keys import bucket_of
from tests.routing.workers import Worker

MG, OTHER_MG = "MG" + "1" * 32, "MG" + "2" * 32
CONTACT = "+14155550123"
DAY = 86_400_000
STOP = Evidence(Event.STOP, How.KEYWORD, "STOP", "SM1", "12345", "Stop, please", "Acme: no more messages.")
START = Evidence(Event.START, How.OPERATOR, "phone call")
REFUSED = Evidence(Event.REFUSED, "opted out: no reply", "", "SM2", "12345", "HOURS")


@pytest.fixture
def contacts(one: Worker) -> Contacts:
    return Contacts(one.store, one.journal, lambda *_: None, load_error_table(), lambda: 1_700_000_000)


def events(client: redis.Redis) -> list[tuple[str, str, str, str]]:
    return [(entry.service, entry.event, entry.how, entry.message) for entry in read_ledger(client, CONTACT)]


async def test_a_start_ends_an_opt_out_and_erases_nothing(contacts: Contacts, valkey: redis.Redis) -> None:
    ledger = bucket_of(CONTACT).consent(MG, CONTACT)
    for _ in range(2):  # a script may run again
        await contacts.change_consent(MG, CONTACT, STOP, at=1_699_999_990_000)
    await contacts.change_consent(OTHER_MG, CONTACT, STOP, at=1_699_999_991_000)
    await contacts.record_refusal(MG, CONTACT, REFUSED)
    assert valkey.pttl(ledger) == -1, "kept as long as the opt-out holds"
    await contacts.change_consent(MG, CONTACT, START, at=1_700_000_001_000)
    assert events(valkey) == [
        (MG, "stop", "keyword", "SM1"),
        (OTHER_MG, "stop", "keyword", "SM1"),
        (MG, "refused", "opted out: no reply", "SM2"),
        (MG, "start", "operator", ""),
    ]
    first = read_ledger(valkey, CONTACT)[0]
    assert first == LedgerEntry(
        "2023-11-14T22:13:10.000+00:00", MG, CONTACT, "stop", "keyword", "STOP", "SM1", "12345",
        "Stop, please", "Acme: no more messages.",
    )  # fmt: skip
    assert 1460 * DAY < valkey.pttl(ledger) <= 1461 * DAY
    assert read_all(valkey) == read_ledger(valkey, CONTACT)


async def test_a_ledger_is_bounded_and_counts_what_it_leaves_out(
    contacts: Contacts, valkey: redis.Redis
) -> None:
    for number in range(510):
        evidence = Evidence(Event.REFUSED, "opted out: no reply", message=f"SM{number}")
        await contacts.record_refusal(MG, CONTACT, evidence)
    assert len(read_ledger(valkey, CONTACT)) == 500
    assert valkey.hget(bucket_of(CONTACT).consent(MG, CONTACT), "omitted") == b"10"


@pytest.mark.parametrize("write", [to_csv, to_json])
def test_a_changed_export_shows(write: object, tmp_path: Path) -> None:
    entries = [
        LedgerEntry(f"2026-11-30T12:00:{second:02}.000+00:00", MG, CONTACT, "stop", "keyword", "STOP",
                    f"SM{second}", "12345", 'Stop "now",\nplease sha256,', "Bye.")
        for second in range(3)
    ]  # fmt: skip
    text = write(entries)  # type: ignore[operator]
    (tmp_path / "export").write_text(text)
    assert len(verify((tmp_path / "export").read_text()) or "") == 64
    assert verify(write([])) is not None  # type: ignore[operator]
    changes = (("SM1", "SM9"), ("12:00:02", "12:00:03"), ("stop", "start"), ("Bye", ""), ("please", ""))
    for old, new in changes:
        assert old in text
        assert verify(text.replace(old, new, 1)) is None
    assert verify(text[: len(text) // 2]) is None
    assert verify("") is None
    assert verify("{}") is None
