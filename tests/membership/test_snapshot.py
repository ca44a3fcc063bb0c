"""The stored form of a snapshot, also when a later release has written it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.membership.snapshot import ServiceProperties, Snapshot, SnapshotError
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.twilio.webhook_url import NumberUrls

SENDER = Sender("SC1", "12345", SenderKind.SHORT_CODE, "US", Capability.SMS | Capability.MMS, live=False)
SNAPSHOT = Snapshot(
    account_sid="AC1",
    service_sid="MG1",
    senders=(SENDER, Sender("AI1", "ACME", SenderKind.ALPHANUMERIC, None, Capability.SMS)),
    settings=ServiceProperties("Shop", "https://sms.example.com/sms", use_inbound_webhook_on_number=True),
    number_urls={"SC1": NumberUrls("Code", "https://old.example.com")},
    read_at=12.5,
    version=7,
)

senders = st.builds(
    Sender,
    sid=st.text(min_size=1, max_size=8),
    address=st.text(min_size=1, max_size=8),
    kind=st.sampled_from(SenderKind),
    country=st.none() | st.sampled_from(["US", "CA"]),
    capabilities=st.sampled_from([Capability.NONE, Capability.SMS, Capability.SMS | Capability.MMS]),
    live=st.booleans(),
)
snapshots = st.builds(
    replace,
    st.just(SNAPSHOT),
    senders=st.lists(senders, max_size=3).map(tuple),
    settings=st.builds(ServiceProperties),
    number_urls=st.dictionaries(st.text(max_size=5), st.builds(NumberUrls), max_size=2),
    read_at=st.floats(0, 4e9),
    version=st.integers(0, 2**53),
)


@given(snapshots)
def test_a_stored_snapshot_is_decoded_unchanged(snapshot: Snapshot) -> None:
    assert Snapshot.from_bytes(snapshot.to_bytes()) == snapshot


def test_unknown_fields_of_a_later_release_are_ignored() -> None:
    stored = json.loads(SNAPSHOT.to_bytes())
    stored["weather"] = "fine"
    stored["settings"]["weather"] = "fine"
    stored["senders"][0]["weather"] = "fine"
    stored["senders"][0]["capabilities"].append("Voice")
    stored["number_urls"]["SC1"]["weather"] = "fine"
    del stored["settings"]["sticky_sender"]
    assert Snapshot.from_bytes(json.dumps(stored).encode()) == SNAPSHOT


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[]", "is not of format 1"),
        (b"{}", "is not of format 1"),
        (b'{"format": 2}', "is not of format 1"),
        (b'{"format": 1}', "is incomplete: KeyError('account_sid')"),
        (
            SNAPSHOT.to_bytes().replace(b'"short code"', b'"carrier pigeon"'),
            "'carrier pigeon' is not a valid",
        ),
        (SNAPSHOT.to_bytes().replace(b'"number_urls":{', b'"number_urls":[],"x":{'), "is incomplete"),
    ],
)
def test_malformed_bytes_are_an_error_with_the_reason(stored: bytes, reason: str) -> None:
    with pytest.raises(SnapshotError) as caught:
        Snapshot.from_bytes(stored)
    assert reason in str(caught.value)


def test_age_and_version_are_not_part_of_the_content() -> None:
    assert SNAPSHOT.same_content(replace(SNAPSHOT, read_at=99.0, version=8))
    assert not SNAPSHOT.same_content(replace(SNAPSHOT, senders=()))
    assert not SNAPSHOT.same_content(replace(SNAPSHOT, settings=ServiceProperties()))


def test_the_pool_has_the_snapshots_senders_and_version() -> None:
    pool = SNAPSHOT.pool()
    assert (pool.service_sid, pool.version, pool.senders) == ("MG1", 7, SNAPSHOT.senders)
