from dataclasses import replace

from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.state.phones import PhoneInboxes, ReceivedMessage


def test_a_phone_stores_a_limited_number_of_messages() -> None:
    inboxes, message = PhoneInboxes(), ReceivedMessage("SM1", "12345", "Hi", (), ManualClock().now())
    for index in range(205):
        inboxes.add_received("+14155550123", replace(message, sid=f"SM{index}"))
    received = inboxes.get("+14155550123").received
    assert (len(received), received[0].sid) == (200, "SM5")
