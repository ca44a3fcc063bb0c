"""How errors of Twilio's API are handled for messages that leave by REST."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from sms_router.delivery.entry import MessagePart, OutboxEntry, ReplyKind
from sms_router.delivery.message import OutboundSms, Rejected, SendLease
from sms_router.delivery.outbox import Outbox
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.contacts.receipt_analysis import ReceiptAnalyzer
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.handler.reply import Reply
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.event_runner import EventRunner
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.routing.pipeline.outbound_sends import OutboundSends
from sms_router.routing.pipeline.outbox_replies import ReplyOutboxHandler
from sms_router.routing.pipeline.quiet_hours import QuietHours
from sms_router.senders.error_table import load_error_table
from sms_router.senders.models import Capability, ReplyFrom, Sender, SenderKind
from sms_router.senders.pool import Pool, find_pool
from sms_router.twilio.twiml import OutboundMessage, render
from tests.routing.workers import DAYS, RecordingSender, worker

MG = "MG" + "1" * 32
AMERICAN, CANADIAN = "+14155550123", "+16475550123"
SHORT_CODE, LONG_CODE, ELSEWHERE = "12345", "+14155550100", "+14155559999"
POOL = Pool(
    MG,
    1,
    (
        Sender("SC1", SHORT_CODE, SenderKind.SHORT_CODE, "US", Capability.SMS),
        Sender("PN1", LONG_CODE, SenderKind.LONG_CODE, "US", Capability.SMS),
    ),
)
LATE = MessagePart(ReplyKind.LATE, 0)


@pytest.fixture
async def outgoing(valkey_url: str, tmp_path: Path) -> AsyncIterator[ReplyOutboxHandler]:

    def pool_for(service: str | None, texted: str, _account: str) -> Pool | None:
        return find_pool({MG: POOL}, service, texted)

    async with worker(valkey_url, tmp_path) as one:
        people = Contacts(one.store, one.journal, pool_for, load_error_table())
        composer = Composer(pool_for, {None: ReplyFrom.SHORT_CODE_FIRST}, "https://sms.example.com")
        outbox = Outbox(one.store, one.journal, DAYS, 60)
        dispatcher, guard = Dispatcher(RuleTable([])), LoopGuard(0, 60)
        later = LateReplies(
            one.inbox, people, dispatcher, composer, outbox, guard, Reply(), RecordingSender()
        )

        analyzer = ReceiptAnalyzer(people, pool_for)
        sends = OutboundSends(
            people,
            dispatcher,
            composer,
            outbox,
            pool_for,
            {},
            TimeZones(),
            QuietHours("", {}, TimeZones()),
            lambda _: None,
        )
        yield ReplyOutboxHandler(
            people, analyzer, composer, later, sends, EventRunner(outbox, people, dispatcher), reroute=True
        )


async def refused(
    outgoing: ReplyOutboxHandler,
    code: int | None,
    sender: str = SHORT_CODE,
    person: str = AMERICAN,
    piece: MessagePart = LATE,
) -> bool:
    """Return whether another sender is tried after this response of Twilio."""
    account, sid = "AC" + "0" * 32, "SM" + "0" * 32
    entry = OutboxEntry(f"{account}/{sid}", piece.name, MG, person)
    letter = OutboundSms(account, MG, sender, person, "Hello", (), "https://sms.example.com/sms/status")
    return await outgoing.on_result(entry, piece, letter, Rejected(code, "refused"))


@pytest.mark.parametrize(
    ("code", "sender", "person", "again"),
    [
        (21612, SHORT_CODE, AMERICAN, True),
        (21606, SHORT_CODE, CANADIAN, True),
        (
            21606,
            SHORT_CODE,
            AMERICAN,
            False,
        ),  # the number cannot send at all: the account's mistake (facts 7.1)
        (21659, LONG_CODE, AMERICAN, False),
        (21659, ELSEWHERE, AMERICAN, False),
        (21610, SHORT_CODE, AMERICAN, False),
        (21619, SHORT_CODE, AMERICAN, False),
        (30007, SHORT_CODE, AMERICAN, False),
        (99999, SHORT_CODE, AMERICAN, False),
        (None, SHORT_CODE, AMERICAN, False),
    ],
)
async def test_another_sender_is_tried_where_it_may_do_better(
    outgoing: ReplyOutboxHandler, code: int | None, sender: str, person: str, again: bool
) -> None:
    assert await refused(outgoing, code, sender, person) is again


async def test_another_sender_is_tried_once(outgoing: ReplyOutboxHandler) -> None:
    assert not await refused(outgoing, 21612, piece=LATE.repeated())


@pytest.mark.parametrize(
    ("direction", "composed_for", "sender"),
    [
        ("outbound-api", LONG_CODE, LONG_CODE),
        ("outbound-api", ELSEWHERE, SHORT_CODE),
        ("inbound", ELSEWHERE, ELSEWHERE),
    ],
)
async def test_a_scheduled_message_keeps_its_sender_while_the_pool_has_it(
    outgoing: ReplyOutboxHandler, direction: str, composed_for: str, sender: str
) -> None:
    account, sid = "AC" + "0" * 32, "SM" + "0" * 32
    request = {"MessageSid": sid, "AccountSid": account, "MessagingServiceSid": MG, "From": AMERICAN}
    request |= {"To": SHORT_CODE, "Body": "", "Direction": direction}
    document = render([OutboundMessage("Tomorrow at nine.", sender=composed_for)])
    lease = SendLease(urlencode(request).encode(), document, {}, [])
    entry = OutboxEntry(f"{account}/{sid}", LATE.name, MG, AMERICAN)
    sms = await outgoing.build_message(entry, LATE, lease)
    assert isinstance(sms, OutboundSms)
    assert (sms.sender, sms.text) == (sender, "Tomorrow at nine.")
    assert bool(sms.trail) is (sender != composed_for)
