"""Status callbacks: telling the customer where a message stands (facts 7)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import Clock
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.alerts import Alerts, Level
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.state.messages import Message, SandboxMessageStatus
from sms_router.sandbox.webhooks.client import WebhookClient
from sms_router.sandbox.webhooks.page import FetchFailure, WebhookPage, WebhookTarget
from sms_router.sandbox.webhooks.pages import read_page
from sms_router.sandbox.world.fault import ReceiptFault

API_VERSION = "2010-04-01"

_NO_FAULT = ReceiptFault()


@dataclass(slots=True)
class CallbackQueue:
    """One message's callbacks: they wait for each other, and a fault may keep them back."""

    turns: asyncio.Lock = field(default_factory=asyncio.Lock)
    kept: list[Message] = field(default_factory=list)


class StatusCallbacks:
    """Posts each change of a message to its own URL, else to its Service's."""

    def __init__(
        self,
        *,
        account: Account,
        alerts: Alerts,
        client: WebhookClient,
        tasks: BackgroundTasks,
        faults: Faults,
        clock: Clock,
    ) -> None:
        """Post through ``client``, in the background, as ``faults`` allow."""
        self._account = account
        self._alerts = alerts
        self._client = client
        self._tasks = tasks
        self._faults = faults
        self._clock = clock

    def report(self, message: Message, line: CallbackQueue) -> None:
        """Post a message's present status, after the earlier ones of its line.

        Twilio promises no order (facts 7); the sandbox keeps it until a fault asks otherwise.
        """
        url = self._url(message)
        if not url:
            return
        fault = self._faults.receipts.consume() or _NO_FAULT
        if fault.backwards and not message.status.final:
            line.kept.append(message)
            return
        due = [message, *reversed(line.kept)]
        line.kept.clear()
        for each in due if not fault.lost else due[1:]:
            self._start(each, url, line, fault)

    def _start(self, message: Message, url: str, line: CallbackQueue, fault: ReceiptFault) -> None:
        if self._tasks.full:
            self._alerts.add(11200, "too many status callbacks at once", resource_sid=message.sid)
        else:
            self._tasks.start(self._post(message, url, line, fault))

    def _url(self, message: Message) -> str:
        service = self._account.service(message.service_sid) if message.service_sid else None
        return message.status_callback or (service.status_callback if service else "")

    async def _post(self, message: Message, url: str, line: CallbackQueue, fault: ReceiptFault) -> None:
        await self._clock.sleep(fault.late)
        target, parameters = WebhookTarget(url), status_parameters(self._account.sid, message)
        async with line.turns:
            if fault.twice:
                _, answer = await self._client.fetch_twice(target, parameters)
            else:
                answer = await self._client.fetch(target, parameters)
        if isinstance(answer, FetchFailure):
            self._alerts.add(answer.code, answer.reason, resource_sid=message.sid, request_url=url)
        elif (code := _oddity(answer)) is not None:
            reason = "a status callback is answered by 204 or an empty <Response/> of text/xml"
            self._alerts.add(code, reason, resource_sid=message.sid, request_url=url, level=Level.WARNING)


def can_be_called_back(url: str) -> bool:
    """Say whether Twilio takes a URL for status callbacks: no underscore in its host's name (facts 1.5)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and "_" not in (parts.hostname or "_")


def _oddity(answer: WebhookPage) -> int | None:
    """Return the debugger's code for what a status callback is not answered by (facts 1.5)."""
    if answer.status == 204:
        return None
    verbs = read_page(answer)
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
