"""The clock over HTTP, and waiting until everything has happened."""

import asyncio

import pytest

from sms_router.sandbox import create_sandbox, load_world
from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import ManualClock, SystemClock
from sms_router.sandbox.hosting import serve
from sms_router.sandbox.time_control import TimeControl
from sms_router.sandbox.world.world import Carrier, Phone
from tests.sandbox.bench import PHONE, SHORT_CODE, WORLD, Bench, running


async def test_time_goes_on_and_what_was_due_has_happened_at_its_moment() -> None:
    async with running(phones={PHONE: Phone(PHONE, Carrier("slow", delay=45))}) as bench:
        bench.customer.says("/sms", "<Message>Hello</Message>")
        told = await bench.text("Hi")
        assert told["messages"] == []
        assert await bench.post("/sandbox/clock", {"advance": 30}) == {
            "now": "2026-01-05T09:00:30+00:00",
            "manual": True,
        }
        assert (await bench.phone())["messages"] == []
        await bench.post("/sandbox/clock", {"advance": 3600}, 200)
        (message,) = (await bench.phone())["messages"]
        assert (message["received_at"], message["status"]) == ("2026-01-05T09:00:45+00:00", "delivered")
        assert (await bench.get("/sandbox/clock"))["now"] == "2026-01-05T10:00:30+00:00"


@pytest.mark.parametrize("body", [{}, {"advance": 0}, {"advance": -1}, {"advance": "x"}, {"advance": True}])
async def test_a_step_that_is_none_is_refused(bench: Bench, body: object) -> None:
    answer = await bench.post("/sandbox/clock", body, 400)
    assert answer["error"].startswith("'advance' must be")


async def test_the_machines_clock_cannot_be_driven(bench: Bench) -> None:
    async with serve(create_sandbox(load_world(WORLD))) as url:
        async with bench.session.get(f"{url}/sandbox/clock") as response:
            assert (await response.json())["manual"] is False
        async with bench.session.post(f"{url}/sandbox/clock", json={"advance": 1}) as response:
            assert response.status == 409
            assert "sms-router sandbox --manual-clock" in (await response.json())["error"]
        body = {"to": SHORT_CODE, "body": "Hi"}
        async with bench.session.post(f"{url}/sandbox/phones/{PHONE}/messages", json=body) as response:
            assert response.status == 201


async def test_it_is_quiet_when_all_that_runs_waits_for_the_clock() -> None:
    clock, tasks = ManualClock(), BackgroundTasks(2)
    pace, gone = TimeControl(clock, (tasks,)), asyncio.Event()
    tasks.start(clock.sleep(60))
    assert await pace.wait_until_idle()

    async def waits() -> None:
        await gone.wait()

    tasks.start(waits())
    assert not await pace.wait_until_idle(longest=0.01)
    gone.set()
    await pace.advance(60)
    assert tasks.running == 0


async def test_only_a_manual_clock_is_driven() -> None:
    with pytest.raises(TypeError):
        await TimeControl(SystemClock(), ()).advance(1)
