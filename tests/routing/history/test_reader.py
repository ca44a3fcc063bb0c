"""Reading stored messages, written by the inbox and the receipt handler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
import redis

from sms_router.cli.messages.follow import line_of
from sms_router.delivery.entry import MessagePart, ReplyKind
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.contacts.receipt_analysis import ReceiptAnalyzer
from sms_router.routing.contacts.status_callbacks import ReceiptHandler
from sms_router.routing.handler.reply import Reply
from sms_router.routing.history.follower import JournalFollower
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.inbox.answer import Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed, Inbox
from sms_router.routing.pipeline.composer import Composer
from sms_router.senders.error_table import load_error_table
from sms_router.senders.models import ReplyFrom
from sms_router.store.keys import ALL_BUCKETS, bucket_of
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store
from sms_router.twilio.status import MessageStatus, Receipt
from tests.routing.messages import ACCOUNT, CONTACT

OTHER_ACCOUNT = "AC" + "0b" * 16


def sid_of(number: int) -> str:
    return f"SM{number:032x}"


@dataclass(frozen=True, slots=True)
class JournalFixture:
    """The parts of a worker that write the journal."""

    records: Inbox
    receipts: ReceiptHandler

    async def receive(
        self, number: int, contact: str = CONTACT, account: str = ACCOUNT
    ) -> tuple[MessageKey, bytes]:
        """Claim a message, as on its arrival."""
        key = MessageKey(f"{account}/{sid_of(number)}", contact)
        form = {
            "MessageSid": sid_of(number),
            "AccountSid": account,
            "From": contact,
            "To": "12345",
            "Body": "Hi ☺",
        }
        request = urlencode(form).encode()
        assert isinstance(await self.records.claim(key, request, fallback=False), Claimed)
        return key, request

    async def answer(self, number: int, contact: str = CONTACT, cause: str = "") -> MessageKey:
        """Receive a message and answer it."""
        key, request = await self.receive(number, contact)
        document = Composer(lambda *_: None, {None: ReplyFrom.SAME_NUMBER}, "").render_plain(
            Reply(["a & b", "c"])
        )
        outcome = Outcome.FAILED if cause else Outcome.REPLY
        entry = JournalEntry("HOURS\n12345: chosen: texted", cause)
        await self.records.commit(key, request, Claimed(1, 0, stored=True), Answer(document, outcome), entry)
        return key


@pytest.fixture
async def journal(valkey_url: str, tmp_path: Path) -> AsyncIterator[JournalFixture]:
    store = Store(valkey_url)
    writer = DurableWriter(store, Spool(tmp_path))
    await store.start(writer.replay)
    contacts = Contacts(store, writer, lambda *_: None, load_error_table())
    analyzer = ReceiptAnalyzer(contacts, lambda *_: None)
    yield JournalFixture(Inbox(store, writer, 7), ReceiptHandler(writer, 7, analyzer))
    await writer.aclose()
    await store.aclose()


@pytest.fixture
def history(valkey: redis.Redis) -> HistoryReader:
    return HistoryReader(valkey)


def sids(records: list[MessageRecord]) -> list[str]:
    return [record.sid for record in records]


def test_an_empty_journal_has_no_messages(history: HistoryReader) -> None:
    assert history.recent(10) == history.failed(10) == []
    assert history.find(sid_of(1), [ACCOUNT]) is None


async def test_the_newest_messages_come_first(journal: JournalFixture, history: HistoryReader) -> None:
    for number in range(6):
        await journal.answer(number)
    assert sids(history.recent(4)) == [sid_of(number) for number in (5, 4, 3, 2)]


async def test_the_messages_of_all_contacts_are_listed(
    journal: JournalFixture, history: HistoryReader
) -> None:
    for number in range(10, 22):
        await journal.answer(number, f"+141555501{number}")
    assert set(sids(history.recent(100))) == {sid_of(number) for number in range(10, 22)}
    assert len(history.recent(5)) == 5


async def test_a_message_has_its_answer_rule_and_trail(
    journal: JournalFixture, history: HistoryReader
) -> None:
    await journal.answer(1)
    (record,) = history.recent(1)
    assert record == history.find(sid_of(1), [OTHER_ACCOUNT, ACCOUNT])
    assert record.message is not None
    assert (record.message.sender, record.message.body) == (CONTACT, "Hi ☺")
    assert (record.outcome, record.rule) == ("reply", "HOURS")
    assert record.trail == ("12345: chosen: texted",)
    assert record.texts == ("a & b", "c")
    assert record.received is not None
    assert (record.causes, record.sent) == ((), ())


async def test_a_claimed_message_has_no_answer_yet(journal: JournalFixture, history: HistoryReader) -> None:
    await journal.receive(1)
    (record,) = history.recent(1)
    assert (record.outcome, record.rule, record.sender, record.texts) == (None, None, None, ())


async def test_only_messages_of_the_named_accounts_are_found(
    journal: JournalFixture, history: HistoryReader
) -> None:
    await journal.receive(1, account=OTHER_ACCOUNT)
    assert history.find(sid_of(1), [ACCOUNT]) is None
    assert history.find(sid_of(1), [OTHER_ACCOUNT]) is not None
    assert history.find(sid_of(1), []) is None


async def test_dead_letters_have_all_their_causes_newest_first(
    journal: JournalFixture, history: HistoryReader
) -> None:
    await journal.answer(1)
    key = await journal.answer(2, cause="HOURS: LookupError: no\udcff balance")
    await journal.records.annotate(key, "adopted", "text", "answered after the deadline")
    (dead_letter,) = history.failed(10)
    assert dead_letter.sid == sid_of(2)
    assert [cause.text for cause in dead_letter.causes] == [
        "answered after the deadline",
        "HOURS: LookupError: no\\udcff balance",
    ]
    record = history.find(sid_of(2), [ACCOUNT])
    assert record is not None
    assert record.causes == dead_letter.causes


async def test_a_limit_of_dead_letters_counts_messages_and_keeps_all_their_causes(
    journal: JournalFixture, history: HistoryReader
) -> None:
    keys = [await journal.answer(number, cause="no balance") for number in range(4)]
    for key in keys[1:]:
        for field in ("adopted", "heavy", "lost"):
            await journal.records.annotate(key, field, "text", f"{field}, after the answer")
    dead_letters = history.failed(3)
    assert set(sids(dead_letters)) == {sid_of(1), sid_of(2), sid_of(3)}
    assert [len(dead_letter.causes) for dead_letter in dead_letters] == [4, 4, 4]
    assert sids(history.failed(1)) == sids(dead_letters)[:1]


async def test_a_follower_returns_each_message_once_it_is_answered(
    journal: JournalFixture, history: HistoryReader
) -> None:
    await journal.answer(1, cause="before")
    newest, failed = JournalFollower(history), JournalFollower(history, failed=True)
    key, request = await journal.receive(2)
    for number in (3, 4):
        await journal.answer(number, f"+1415555011{number}", cause="no balance")
    assert sids(newest.read()) == [sid_of(3), sid_of(4)]
    answer = Answer(b"<Response/>", Outcome.SILENT)
    await journal.records.commit(key, request, Claimed(1, 0, stored=True), answer, JournalEntry("HOURS"))
    assert [sids(newest.read()) for _ in range(2)] == [[sid_of(2)], []]
    (third, fourth), again = failed.read(), failed.read()
    assert [third.sid, third.causes[0].text, fourth.sid, again] == [sid_of(3), "no balance", sid_of(4), []]


async def test_a_line_has_text_rule_reply_and_sid(journal: JournalFixture, history: HistoryReader) -> None:
    await journal.answer(1, cause="HOURS: LookupError")
    (record,) = history.failed(1)
    fields = line_of(record, reveal=True).split(" | ")
    assert fields[0].endswith(f" {CONTACT}: Hi ☺")
    assert fields[1:4] == ["HOURS", "a & b / c", "failed: HOURS: LookupError"]
    assert fields[4].endswith(" ms")
    assert fields[5] == sid_of(1)
    assert line_of(record, reveal=False).split(" | ")[2] == "(6 characters)"


async def test_receipts_belong_to_the_message_whose_reply_they_report(
    journal: JournalFixture, history: HistoryReader
) -> None:
    await journal.answer(1)
    receipt = Receipt(
        message_sid=sid_of(77),
        account_sid=ACCOUNT,
        status=MessageStatus.UNDELIVERED,
        error_code=30006,
        sender="12345",
        contact=CONTACT,
        reply_id=f"{sid_of(1)}.0",
    )
    await journal.receipts.handle(receipt)
    (record,) = history.recent(1)
    (sent,) = record.sent
    assert (sent.sid, sent.sender, sent.status, sent.error_code) == (
        sid_of(77),
        "12345",
        "undelivered",
        "30006",
    )
    assert sent.part == MessagePart(ReplyKind.ANSWER, 0)
    assert [report.status for report in sent.statuses] == ["undelivered"]


async def test_a_message_is_found_when_a_receipt_is_in_another_contacts_bucket(
    journal: JournalFixture, history: HistoryReader
) -> None:
    await journal.answer(1)
    others = (f"+1415555{number:04}" for number in range(200))
    place = ALL_BUCKETS.index
    before = next(other for other in others if place(bucket_of(other)) < place(bucket_of(CONTACT)))
    receipt = Receipt(
        sid_of(77), ACCOUNT, MessageStatus.DELIVERED, None, "12345", before, f"{sid_of(1)}.0", None
    )
    await journal.receipts.handle(receipt)
    (record,) = history.recent(1)
    assert history.find(sid_of(1), [ACCOUNT]) == record


async def test_a_dead_letter_whose_record_is_deleted_is_listed_with_its_cause(
    journal: JournalFixture, history: HistoryReader, valkey: redis.Redis
) -> None:
    key = await journal.answer(1, cause="gone")
    valkey.delete(bucket_of(CONTACT).message(key.reference))
    (record,) = history.failed(10)
    assert (record.sid, record.message, record.received) == (sid_of(1), None, None)
    assert [cause.text for cause in record.causes] == ["gone"]
    assert history.find(sid_of(1), [ACCOUNT]) is None


async def test_dead_letters_are_read_in_batches_to_the_last_one(
    journal: JournalFixture, history: HistoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_router.routing.history.reader.BATCH", 2)
    for number in range(7):
        await journal.answer(number, f"+141555501{number % 3:02}", cause=f"no balance {number}")
    key = MessageKey(f"{ACCOUNT}/{sid_of(0)}", "+14155550100")
    for again in range(5):
        await journal.records.annotate(key, f"note{again}", "text", f"again {again}")
    dead_letters = history.failed(100)
    assert sids(dead_letters)[0] == sid_of(0)
    assert set(sids(dead_letters)) == {sid_of(number) for number in range(7)}
    assert [cause.text for cause in dead_letters[0].causes] == [
        *(f"again {n}" for n in (4, 3, 2, 1, 0)),
        "no balance 0",
    ]
    assert sids(history.failed(2)) == [sid_of(0), sid_of(6)]
    assert history.find(sid_of(0), [ACCOUNT]) == dead_letters[0]


async def test_dead_letters_are_filtered_by_time_and_cause(
    journal: JournalFixture, history: HistoryReader
) -> None:
    for number, cause in enumerate(("Timeout in BALANCE", "LookupError", "a timeout elsewhere")):
        await journal.answer(number, cause=cause)
    assert sids(history.failed(10, cause="TIMEOUT")) == [sid_of(2), sid_of(0)]
    newest = history.failed(1)[0].causes[0].at
    assert sid_of(2) in sids(history.failed(10, since=newest))
    assert history.failed(10, since=newest + 1) == []
