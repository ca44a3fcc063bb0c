import pytest
from twilio.base.exceptions import TwilioRestException

from tests.sandbox.sandbox_fixture import SERVICE, SHORT_CODE_SID, SandboxFixture


async def test_the_demo_service_is_listed_and_fetched(sandbox: SandboxFixture) -> None:
    services = await sandbox.call(lambda c: c.messaging.v1.services.list())
    assert [service.sid for service in services] == [SERVICE]
    service = await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).fetch())
    assert service.friendly_name == "Demo"
    assert service.inbound_request_url == f"{sandbox.customer.url}/sms"
    assert service.use_inbound_webhook_on_number is False


async def test_a_service_is_created_with_its_settings(sandbox: SandboxFixture) -> None:
    created = await sandbox.call(
        lambda c: c.messaging.v1.services.create(
            friendly_name="Second",
            inbound_request_url="https://example.com/in",
            inbound_method="GET",
            sticky_sender=False,
            validity_period=60,
            scan_message_content="disable",
        )
    )
    fetched = await sandbox.call(lambda c: c.messaging.v1.services(created.sid).fetch())
    assert fetched.friendly_name == "Second"
    assert fetched.inbound_method == "GET"
    assert fetched.sticky_sender is False
    assert fetched.validity_period == 60
    assert fetched.scan_message_content == "disable"
    assert fetched.fallback_url is None


async def test_an_update_changes_only_the_parameters_that_were_sent(sandbox: SandboxFixture) -> None:
    sandbox.clock.advance(60)
    before = await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).fetch())
    after = await sandbox.call(
        lambda c: c.messaging.v1.services(SERVICE).update(fallback_url="", use_inbound_webhook_on_number=True)
    )
    assert after.fallback_url is None
    assert after.use_inbound_webhook_on_number is True
    assert after.inbound_request_url == before.inbound_request_url
    assert after.date_updated > before.date_updated
    assert after.date_created == before.date_created


async def test_a_deleted_service_leaves_its_numbers_on_the_account(sandbox: SandboxFixture) -> None:
    assert await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).delete())
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).fetch())
    assert (rejected.value.status, rejected.value.code) == (404, 20404)
    assert (await sandbox.call(lambda c: c.api.v2010.account.short_codes(SHORT_CODE_SID).fetch())).sid


@pytest.mark.parametrize(
    "wrong",
    [
        {"friendly_name": "x" * 65},
        {"friendly_name": ""},
        {"inbound_request_url": "sms.example.com"},
        {"inbound_method": "PUT"},
        {"validity_period": 36001},
        {"scan_message_content": "maybe"},
    ],
)
async def test_an_invalid_setting_is_rejected(sandbox: SandboxFixture, wrong: dict[str, object]) -> None:
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).update(**wrong))
    assert (rejected.value.status, rejected.value.code) == (400, 20001)
