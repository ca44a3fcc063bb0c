"""The page at the root of the server."""

from tests.sandbox.sandbox_fixture import SandboxFixture


async def test_the_root_is_a_page_with_commands_to_paste_and_no_secret(sandbox: SandboxFixture) -> None:
    async with sandbox.session.get(sandbox.url) as response:
        page = await response.text()
        assert (response.status, response.content_type) == (200, "text/html")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    command = 'curl --json \'{"to": "12345", "body": "HOURS"}\' '
    assert f"{command}{sandbox.url}/sandbox/phones/+14155550123/messages" in page
    assert f"export TWILIO_API_BASE_URL={sandbox.url}</pre>" in page
    assert "<li><code>POST /sandbox/faults</code></li>" in page
    assert "<li><code>GET /v1/Services/{service_sid}/ShortCodes</code></li>" in page
    assert sandbox.world.account_sid in page
    assert sandbox.world.auth_token not in page
    assert "$" not in page


async def test_the_hosts_name_is_escaped(sandbox: SandboxFixture) -> None:
    async with sandbox.session.get(sandbox.url, headers={"Host": "a<b>"}) as response:
        assert "<b>" not in await response.text()


async def test_another_method_on_the_root_has_twilios_error(sandbox: SandboxFixture) -> None:
    async with sandbox.session.post(sandbox.url) as response:
        assert (response.status, (await response.json())["code"]) == (405, 20004)
