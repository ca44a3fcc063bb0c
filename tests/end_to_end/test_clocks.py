"""Routers whose wall clock is set while they run, as NTP or an operator sets one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end import adjustable_clock
from tests.end_to_end.adjustable_clock import AdjustableClock
from tests.end_to_end.router_process import RouterProcess, webhook, write_configuration
from tests.store.private_valkey import PrivateValkey

HOUR, DAY = 3600, 86_400
SILENCE = "<Response/>"


@pytest.fixture
def clock(tmp_path: Path) -> AdjustableClock:
    return AdjustableClock(tmp_path / "clock")


@pytest.fixture
def turned(tmp_path: Path, valkey: PrivateValkey, clock: AdjustableClock) -> Iterator[RouterProcess]:
    """Run a router whose wall clock is the test's."""
    folder = write_configuration(tmp_path / "config")
    router = RouterProcess(folder, valkey.url, clock.environment, module=adjustable_clock.__name__)
    yield router.start()
    router.kill()


async def test_whatever_happens_to_the_wall_clock_a_stop_holds_a_start_is_heard_and_an_operator_is_told(
    turned: RouterProcess, clock: AdjustableClock
) -> None:
    async def says(body: str) -> str:
        return (await turned.deliver(webhook(body))).text

    async def told() -> bool:
        return "this machine's clock is" in (await turned.fetch("/readyz")).text

    for ahead in (-HOUR, HOUR, DAY, 0):
        assert "unsubscribed" in await says("STOP")
        clock.set_offset(ahead)
        assert SILENCE in await says("HOURS")
        assert await told() is bool(ahead)
        assert "again" in await says("START")
        assert "9 to 5" in await says("HOURS")
