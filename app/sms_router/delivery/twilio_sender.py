"""Hands messages to Twilio, through the official client (facts 6.2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

from sms_router.delivery.message import NotProcessed, OutboundSms, Rejected, Result, Sent, Unknown
from sms_router.delivery.outbox_worker import MOST_CALLS
from sms_router.twilio.rest import FailureKind, account_resource, build_client, describe_error

if TYPE_CHECKING:
    from twilio.rest import Client


class TwilioSender:
    """Sends messages; the client blocks, so each call has a thread."""

    def __init__(
        self,
        tokens: Mapping[str, str],
        base_url: str,
        timeout: float,
        observe: Callable[[str, float], None] = lambda _stage, _seconds: None,
        build: Callable[[str, str, str, float], Client] = build_client,
    ) -> None:
        """Take each account's auth token, where Twilio's API is, and the limit of a call in seconds.

        ``observe`` is told how long each call has taken.
        """
        self._observe = observe
        self._tokens = tokens
        self._threads = ThreadPoolExecutor(MOST_CALLS, "outbox")
        self._client = cache(lambda account: build(account, tokens[account], base_url, timeout))

    async def send(self, letter: OutboundSms) -> Result:
        """Send one message, once. A call that was begun goes on though its caller is cancelled."""
        if letter.account_sid not in self._tokens:
            return Rejected(None, f"no auth token is configured for {letter.account_sid}")
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        try:
            return await loop.run_in_executor(self._threads, self._send, letter)
        finally:
            self._observe("rest", time.monotonic() - began)

    def close(self) -> None:
        """Take no more calls; those under way end by their own time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, letter: OutboundSms) -> Result:
        try:
            messages = account_resource(self._client(letter.account_sid), letter.account_sid).child(
                "Messages.json"
            )
            message = messages.create(
                {
                    "To": letter.person,
                    "From": letter.sender,
                    "StatusCallback": letter.status_url,
                    "Body": letter.text or None,
                    "MediaUrl": list(letter.media) or None,
                    "MessagingServiceSid": letter.service_sid,
                }
            )
        except Exception as error:
            return _failed(error, letter)
        return Sent(message.sid) if message.sid else Unknown("Twilio's answer names no message")


def _failed(error: Exception, letter: OutboundSms) -> Result:
    failure = describe_error(error)
    sentence = _masked(failure.sentence, letter)
    if failure.kind is FailureKind.RATE_LIMITED or not failure.is_connected:
        return NotProcessed(sentence)
    if failure.may_have_been_processed:
        return Unknown(sentence)
    return Rejected(failure.code, sentence)


def _masked(sentence: str, letter: OutboundSms) -> str:
    """Take out what Twilio quotes of the message: logs and dead letters get the sentence (design 12)."""
    sentence = sentence.replace(letter.person.removeprefix("+"), "•••")
    return sentence.replace(letter.text, "(the text)") if len(letter.text) > 3 else sentence
