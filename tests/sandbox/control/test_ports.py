"""Ports that advance by themselves, by the sandbox's clock."""

from __future__ import annotations

import pytest

from tests.sandbox.sandbox_fixture import SandboxFixture

NUMBER = "+13125550111"
BEGINNING = ["in_review", "waiting_for_signature", "port_submitted"]


@pytest.mark.parametrize(
    ("plays", "statuses"),
    [
        ("accepted", [*BEGINNING, "port_pending", "completed"]),
        ("rejected", [*BEGINNING, "port_rejected", *BEGINNING, "port_pending", "completed"]),
    ],
)
async def test_a_port_is_played_from_its_review_to_the_live_number(
    sandbox: SandboxFixture, plays: str, statuses: list[str]
) -> None:
    body = {"phone_numbers": [NUMBER], "plays": plays, "pace": 3600}
    port = await sandbox.post("/sandbox/ports", body, 201)
    seen = [port["phone_numbers"][0]["status"]]
    for _ in statuses[1:]:
        await sandbox.post("/sandbox/clock", {"advance": 3600}, 200)
        (port,) = (await sandbox.get("/sandbox/ports"))["ports"]
        seen.append(port["phone_numbers"][0]["status"])
    assert seen == statuses
    assert port["phone_numbers"][0]["port_date"] is not None


async def test_an_unknown_play_is_rejected(sandbox: SandboxFixture) -> None:
    answer = await sandbox.post("/sandbox/ports", {"phone_numbers": [NUMBER], "plays": "lost"}, 400)
    assert answer["error"].startswith("plays: ")
