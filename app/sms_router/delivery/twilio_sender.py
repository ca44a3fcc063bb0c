"""Sends messages through Twilio's client (``POST Messages.json``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from sms_router.delivery.message import Accepted, NotProcessed, OutboundSms, Rejected, SendResult, Unknown
from sms_router.delivery.outbox_worker import MAX_CONCURRENT_CALLS
from sms_router.twilio.rest import FailureKind, account_resource, build_client, describe_error


class TwilioSender:
    """Sends messages; the client blocks, so each call runs in a thread.

    Args:
        tokens: auth token by account sid.
        base_url: of Twilio's API; empty for its own.
        timeout: seconds for each call.
        observe: called with ``rest`` and the duration of each call in seconds.

    """

    def __init__(
        self,
        tokens: Mapping[str, str],
        base_url: str,
        timeout: float,
        observe: Callable[[str, float], None] = lambda _stage, _seconds: None,
    ) -> None:
        self._observe = observe
        self._tokens = tokens
        self._threads = ThreadPoolExecutor(MAX_CONCURRENT_CALLS, "outbox")
        self._client = cache(lambda account: build_client(account, tokens[account], base_url, timeout))

    async def send(self, message: OutboundSms) -> SendResult:
        """Send a message, once. A call in progress continues when the caller is cancelled."""
        if message.account_sid not in self._tokens:
            return Rejected(None, f"no auth token is configured for {message.account_sid}")
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        try:
            return await loop.run_in_executor(self._threads, self._send, message)
        finally:
            self._observe("rest", time.monotonic() - began)

    def close(self) -> None:
        """Accept no more calls; those in progress end by their timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, message: OutboundSms) -> SendResult:
        try:
            messages = account_resource(self._client(message.account_sid), message.account_sid).child(
                "Messages.json"
            )
            created = messages.create(
                {
                    "To": message.recipient,
                    "From": message.sender,
                    "StatusCallback": message.status_url,
                    "Body": message.text or None,
                    "MediaUrl": list(message.media) or None,
                    "MessagingServiceSid": message.service_sid,
                }
            )
        except Exception as error:
            return _failed(error, message)
        return Accepted(created.sid) if created.sid else Unknown("Twilio's response has no message sid")


def _failed(error: Exception, message: OutboundSms) -> SendResult:
    failure = describe_error(error)
    # Twilio quotes numbers and texts; the sentence goes into logs and dead letters.
    sentence = failure.sentence.replace(message.recipient.removeprefix("+"), "•••")
    if len(message.text) > 3:
        sentence = sentence.replace(message.text, "(the text)")
    if failure.kind is FailureKind.RATE_LIMITED or not failure.is_connected:
        return NotProcessed(sentence)
    if failure.may_have_been_processed:
        return Unknown(sentence)
    return Rejected(failure.code, sentence)
