"""The handlers of a team, as far as tests of the fixture need them."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta

import aiohttp

from sms_router import (
    CallNext,
    Conversation,
    Event,
    InboundMessage,
    Reply,
    Sms,
    keyword,
    lifespan,
    on,
    provide,
    step,
)

runs: list[str] = []
"""The sids of the messages that COUNT has handled."""


@on("opted_out", "undelivered", "reaction")
async def note(event: Event, sms: Sms) -> None:
    await sms.send("+14155550199", f"{event.kind}: {event.error_code or event.text}")
    assert 1 / (event.text != "Liked “boom”")


@lifespan("database")
async def open_database() -> AsyncIterator[dict[str, str]]:
    yield {"name": "real"}


@provide("name")
def read_name(database: dict[str, str]) -> Iterator[str]:
    yield database["name"]


async def greeting(call_next: CallNext) -> Reply:
    return await call_next(greeting="Hello")


@keyword("WHO")
def who(name: str, greeting: str) -> str:
    return f"{greeting} {name}"


@keyword("COUNT")
async def count(message: InboundMessage) -> str:
    runs.append(message.sid)
    return "counted"


@keyword("SLOW")
async def slow() -> str:
    await asyncio.sleep(20)
    return "at last"


@keyword("THREAD")
def in_a_thread() -> str:
    time.sleep(20)
    return "at last"


@keyword("NOW")
def now() -> str:
    moments = (
        datetime.datetime.now(datetime.UTC),
        datetime.datetime.fromtimestamp(time.time(), datetime.UTC),
    )
    assert all(isinstance(moment, datetime.date) for moment in (*moments, datetime.date(2026, 1, 1)))
    return " ".join((*(f"{moment:%H:%M}" for moment in moments), time.strftime("%M"), f"{date.today():%d}"))


@keyword("FOREVER")
async def forever() -> str:
    await asyncio.Event().wait()
    return ""


@keyword("LIMITED", deadline=3)
async def limited() -> str:
    await asyncio.sleep(5)
    return ""


@keyword("BROKEN")
async def broken() -> str:
    return str(1 / 0)


@keyword("WAIT")
async def wait(http: aiohttp.ClientSession) -> str:
    async with http.post("https://clinic.example.com/waiting?floor=2", data="people") as response:
        response.raise_for_status()
        return f"{(await response.json())['people']} people wait."


@keyword("BOOK")
async def book(conversation: Conversation) -> Reply:
    conversation.state["tries"] = 0
    return Reply("Which day?", then="day")


@step("day")
async def day(answer: str, conversation: Conversation) -> Reply | str:
    conversation.state["tries"] += 1
    if answer != "monday":
        return Reply(f"Not {answer} ({conversation.state['tries']})", then=day)
    conversation.end()
    return "See you on Monday."


@keyword("REMIND")
async def remind(message: InboundMessage, sms: Sms) -> str:
    await sms.send(message.sender, Reply("Do you come?", then="coming"), at=timedelta(days=1))
    return "We remind you."


@step("coming")
async def coming(answer: str, sms: Sms) -> str:
    await sms.send("+14155550199", f"They answer {answer}.")
    return "Thank you."
