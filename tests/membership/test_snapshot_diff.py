"""The differences between two snapshots."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from sms_router.membership.snapshot import ServiceProperties, Snapshot
from sms_router.membership.snapshot_diff import (
    describe_changes,
    diff_snapshots,
    format_capabilities,
    format_value,
)
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.twilio.webhook_url import NumberUrls
from tests.membership.test_snapshot import SNAPSHOT, snapshots

CODE = Sender("SC1", "12345", SenderKind.SHORT_CODE, "US", Capability.SMS | Capability.MMS)
LONG = Sender("PN1", "+14155550100", SenderKind.LONG_CODE, "US", Capability.SMS)
BEFORE = Snapshot("AC1", "MG1", (CODE,), ServiceProperties("Shop"), {"SC1": NumberUrls("Code")}, 1.0, 1)


def changes_to(after: Snapshot) -> list[str]:
    return [str(each) for each in diff_snapshots(BEFORE, after)]


def test_a_later_reading_with_the_same_content_has_no_difference() -> None:
    assert changes_to(replace(BEFORE, read_at=99.0, version=7)) == []


def test_added_and_removed_senders() -> None:
    assert changes_to(replace(BEFORE, senders=(LONG,))) == [
        "+14155550100 (PN1): the long code: not in the Service -> in the Service",
        "12345 (SC1): the short code: in the Service -> not in the Service",
    ]


def test_changed_settings_capabilities_and_urls() -> None:
    after = replace(
        BEFORE,
        senders=(replace(CODE, capabilities=Capability.SMS),),
        settings=ServiceProperties("Shop", "https://sms.example.com/sms", use_inbound_webhook_on_number=True),
        number_urls={"SC1": NumberUrls("Code", "https://old.example.com")},
    )
    assert changes_to(after) == [
        "MG1: inbound request url: none -> https://sms.example.com/sms",
        "MG1: use inbound webhook on number: no -> yes",
        "12345 (SC1): capabilities: SMS+MMS -> SMS",
        "12345 (SC1): sms url: none -> https://old.example.com",
    ]


@given(snapshots)
def test_there_is_a_difference_exactly_when_the_content_differs(after: Snapshot) -> None:
    distinct = {sender.sid: sender for sender in after.senders}
    urls = {sid: url for sid, url in after.number_urls.items() if sid in distinct}
    after = replace(after, senders=tuple(distinct[sid] for sid in sorted(distinct)), number_urls=urls)
    before = replace(SNAPSHOT, senders=(), number_urls={})
    assert diff_snapshots(after, after) == ()
    assert bool(diff_snapshots(before, after)) is not before.same_content(after)


def test_values_are_formatted_for_operators() -> None:
    assert [format_value(value) for value in (None, "", False, True, 7)] == ["none", "none", "no", "yes", "7"]
    assert [format_capabilities(value) for value in (None, Capability.NONE, Capability.MMS)] == [
        "",
        "",
        "MMS",
    ]
    assert describe_changes({"sms_url": "https://a"}, {"sms_url": ""}) == "sms url: https://a -> none"
