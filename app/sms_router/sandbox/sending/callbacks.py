"""Status callbacks: each change of a message's status is posted to the customer (facts 7)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import Clock
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.alerts import AlertLevel, Alerts
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.state.messages import Message, SandboxMessageStatus
from sms_router.sandbox.webhooks.client import WebhookClient
from sms_router.sandbox.webhooks.page import FetchFailure, WebhookPage, WebhookTarget, read_page
from sms_router.sandbox.world.fault import ReceiptFault

API_VERSION = "2010-04-01"

_NO_FAULT = ReceiptFault()


@dataclass(slots=True)
class CallbackQueue:
    """One message's callbacks: they are posted one after the other, and a fault may hold them back."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    held: list[Message] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StatusCallbacks:
    """Posts the status of a message to its own URL, else to its Service's."""

    account: Account
    alerts: Alerts
    client: WebhookClient
    tasks: BackgroundTasks
    faults: Faults
    clock: Clock

    def report(self, message: Message, queue: CallbackQueue) -> None:
        """Post a message's present status in the background, after the earlier ones of its queue.

        Twilio guarantees no order (facts 7); the sandbox keeps the order unless a fault changes it.
        """
        url = self._url(message)
        if not url:
            return
        fault = self.faults.receipts.consume() or _NO_FAULT
        if fault.backwards and not message.status.is_final:
            queue.held.append(message)
            return
        due = [message, *reversed(queue.held)]
        queue.held.clear()
        for version in due[1:] if fault.lost else due:
            if self.tasks.is_full:
                self.alerts.add(11200, "too many status callbacks at once", resource_sid=message.sid)
            else:
                self.tasks.start(self._post(version, url, queue, fault))

    def _url(self, message: Message) -> str:
        service = self.account.service(message.service_sid) if message.service_sid else None
        return message.status_callback or (service.status_callback if service else "")

    async def _post(self, message: Message, url: str, queue: CallbackQueue, fault: ReceiptFault) -> None:
        await self.clock.sleep(fault.late)
        target, parameters = WebhookTarget(url), status_parameters(self.account.sid, message)
        async with queue.lock:
            if fault.twice:
                _, result = await self.client.fetch_twice(target, parameters)
            else:
                result = await self.client.fetch(target, parameters)
        if isinstance(result, FetchFailure):
            self.alerts.add(result.code, result.reason, resource_sid=message.sid, request_url=url)
        elif (code := _warning_code(result)) is not None:
            reason = "the response to a status callback must be 204 or an empty <Response/> as text/xml"
            self.alerts.add(code, reason, resource_sid=message.sid, request_url=url, level=AlertLevel.WARNING)


def is_valid_status_callback(url: str) -> bool:
    """Return whether Twilio accepts a URL for status callbacks: no underscore in its host (facts 1.5)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and "_" not in (parts.hostname or "_")


def _warning_code(page: WebhookPage) -> int | None:
    """Return the debugger's code for a response that a status callback should not get (facts 1.5)."""
    if page.status == 204:
        return None
    verbs = read_page(page)
    if isinstance(verbs, FetchFailure):
        return verbs.code
    return 12300 if verbs else None


def status_parameters(account_sid: str, message: Message) -> dict[str, str]:
    """Return the form of a status callback (facts 7)."""
    status = message.status.value
    parameters = {
        "MessageSid": message.sid,
        "SmsSid": message.sid,
        "AccountSid": account_sid,
        "From": message.sender or "",
        "To": message.recipient,
        "MessageStatus": status,
        "SmsStatus": status,
        "ApiVersion": API_VERSION,
    }
    if message.service_sid:
        parameters["MessagingServiceSid"] = message.service_sid
    if message.error_code:
        parameters["ErrorCode"] = str(message.error_code)
    if message.status in (SandboxMessageStatus.DELIVERED, SandboxMessageStatus.UNDELIVERED):
        parameters["RawDlrDoneDate"] = message.updated.strftime("%y%m%d%H%M")
    return parameters
