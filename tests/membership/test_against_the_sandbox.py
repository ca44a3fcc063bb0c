"""The demo's Sender Pool, read from the sandbox through Twilio's client."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from redis.asyncio import Redis

from sms_router.membership.membership import Membership
from sms_router.membership.source import PoolReadError, ServiceSource, twilio_source
from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.world.loader import load_world
from sms_router.senders.country import area_code_of, country_of
from sms_router.senders.models import Capability, SelectionRequest, SenderKind
from sms_router.senders.selection import select
from sms_router.twilio.rest import build_client
from tests.membership.recorded import serving

WORLD = load_world(Path(__file__).parents[2] / "config" / "sandbox.toml")
(SERVICE,) = WORLD.services


@pytest.fixture
def sandbox() -> Iterator[str]:
    with serving(create_sandbox(WORLD)) as url:
        yield url


@pytest.fixture
def demo(sandbox: str) -> ServiceSource:
    sid, token = WORLD.account_sid, WORLD.auth_token
    return twilio_source(lambda: build_client(sid, token, sandbox, 0.5), sid, SERVICE.sid)


def fault(sandbox: str, **how: object) -> None:
    assert requests.post(f"{sandbox}/sandbox/faults", json={"rest": how}, timeout=5).ok


def mended(sandbox: str) -> None:
    assert requests.delete(f"{sandbox}/sandbox/faults", timeout=5).ok


def test_the_demos_senders_are_read_with_their_kinds_and_their_own_urls(demo: ServiceSource) -> None:
    snapshot = demo.read(1.0)
    kinds = {sender.address: (sender.kind, sender.country) for sender in snapshot.senders}
    assert kinds == {
        "12345": (SenderKind.SHORT_CODE, "US"),
        "+14155550100": (SenderKind.LONG_CODE, "US"),
        "+12125550100": (SenderKind.LONG_CODE, "US"),
        "+16475550100": (SenderKind.LONG_CODE, "CA"),
        "+18885550100": (SenderKind.TOLL_FREE, "US"),
    }
    assert snapshot.settings.inbound_request_url == "http://127.0.0.1:8000/sms"
    urls = {urls.sms_url for urls in snapshot.number_urls.values()}
    assert urls == {None, "http://127.0.0.1:8001/new-york"}


@pytest.mark.parametrize(
    ("contact", "needs", "expected"),
    [
        ("+14155550123", Capability.SMS, "12345"),
        ("+14155550123", Capability.MMS, "12345"),
        ("+16475550123", Capability.SMS, "+18885550100"),
        ("+447400123456", Capability.SMS, "+14155550100"),
    ],
)
def test_the_demos_contacts_get_the_right_sender(
    demo: ServiceSource, contact: str, needs: Capability, expected: str
) -> None:
    request = SelectionRequest(
        contact, country_of(contact, None), area_code_of(contact), needs, "+14155550100"
    )
    assert select(demo.read(1.0).pool(), request).address == expected


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"kind": "status", "status": 429}, "429, error 20429 (rate limited)"),
        ({"kind": "status", "status": 500}, "Twilio responded with 500"),
        ({"kind": "garbage"}, "not the expected JSON"),
        ({"kind": "hang"}, "did not respond in time"),
    ],
)
async def test_the_snapshot_stays_while_the_api_fails(
    sandbox: str, demo: ServiceSource, how: dict[str, object], words: str, no_redis: Redis
) -> None:
    membership = Membership([demo], no_redis)
    good = await membership.refresh(SERVICE.sid)
    fault(sandbox, **how)
    with pytest.raises(PoolReadError) as caught:
        await membership.refresh(SERVICE.sid)
    assert words in str(caught.value)
    assert membership.snapshot(SERVICE.sid) == good
    assert membership.pool_for(SERVICE.sid, "12345") is not None
    mended(sandbox)
    assert (await membership.refresh(SERVICE.sid)).same_content(good)
