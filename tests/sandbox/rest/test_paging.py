from urllib.parse import urlsplit

import pytest
from aiohttp import encode_basic_auth
from twilio.rest import Client

from tests.sandbox.sandbox_fixture import PHONE, SERVICE, SHORT_CODE, SandboxFixture


def _basic(sandbox: SandboxFixture) -> dict[str, str]:
    return {"Authorization": encode_basic_auth(sandbox.world.account_sid, sandbox.world.auth_token)}


async def _page(sandbox: SandboxFixture, url: str) -> tuple[int, dict[str, object]]:
    async with sandbox.session.get(url, headers=_basic(sandbox)) as response:
        return response.status, await response.json()


async def test_the_client_reads_all_pages_of_both_trees(sandbox: SandboxFixture) -> None:
    def walk(client: Client) -> tuple[list[str], list[str]]:
        pool = client.messaging.v1.services(SERVICE).phone_numbers.list(page_size=1)
        account = client.api.v2010.account.incoming_phone_numbers.list(page_size=3)
        return [number.phone_number for number in pool], [number.phone_number for number in account]

    pool, account = await sandbox.call(walk)
    assert pool == account == ["+14155550100", "+12125550100", "+18885550100", "+16475550100"]


async def test_v1_links_are_absolute_and_on_the_callers_host(sandbox: SandboxFixture) -> None:
    url = f"{sandbox.url}/v1/Services/{SERVICE}/PhoneNumbers"
    _, first = await _page(sandbox, f"{url}?PageSize=3")
    meta = first["meta"]
    assert isinstance(meta, dict)
    assert meta["url"] == f"{url}?PageSize=3&Page=0"
    assert meta["key"] == "phone_numbers"
    assert meta["previous_page_url"] is None
    _, second = await _page(sandbox, meta["next_page_url"])
    assert isinstance(second["meta"], dict)
    assert second["meta"]["next_page_url"] is None
    _, back = await _page(sandbox, second["meta"]["previous_page_url"])
    assert back["phone_numbers"] == first["phone_numbers"]


async def test_2010_links_are_relative_and_keep_the_filters(sandbox: SandboxFixture) -> None:
    path = f"/2010-04-01/Accounts/{sandbox.world.account_sid}/IncomingPhoneNumbers.json"
    _, page = await _page(sandbox, f"{sandbox.url}{path}?PhoneNumber=%2B1&PageSize=2")
    assert page["uri"] == f"{path}?PhoneNumber=%2B1&PageSize=2&Page=0"
    assert (page["start"], page["end"], page["page"], page["page_size"]) == (0, 1, 0, 2)
    following = page["next_page_uri"]
    assert isinstance(following, str)
    assert not urlsplit(following).netloc
    _, second = await _page(sandbox, sandbox.url + following)
    assert (second["start"], second["end"], second["page"], second["next_page_uri"]) == (2, 3, 1, None)


async def test_new_messages_do_not_shift_the_next_page(sandbox: SandboxFixture) -> None:
    def send(client: Client, *bodies: str) -> None:
        for body in bodies:
            client.messages.create(to=PHONE, from_=SHORT_CODE, body=body)

    await sandbox.call(lambda c: send(c, "a", "b", "c", "d"))
    page = await sandbox.call(lambda c: c.messages.page(page_size=2))
    assert [message.body for message in page] == ["d", "c"]
    await sandbox.call(lambda c: send(c, "e"))
    following = await sandbox.call(lambda _: page.next_page())
    assert following is not None
    assert [message.body for message in following] == ["b", "a"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("PageSize=1000", 200, None),
        ("PageSize=1001", 400, 20007),
        ("PageSize=0", 400, 20001),
        ("PageSize=many", 400, 20001),
        ("Page=-1", 400, 20001),
        ("Page=7", 200, None),
        ("PageToken=XX123", 400, 20001),
    ],
)
async def test_page_sizes_have_limits(
    sandbox: SandboxFixture, query: str, status: int, code: int | None
) -> None:
    answer = await _page(sandbox, f"{sandbox.url}/v1/Services?{query}")
    assert (answer[0], answer[1].get("code")) == (status, code)
