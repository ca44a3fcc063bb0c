"""Status callbacks: telling the customer where a message stands (facts 7)."""

from __future__ import annotations

import asyncio

from app.sandbox.account import Account
from app.sandbox.alerts import Alerts
from app.sandbox.messages import Message, Status
from app.sandbox.tasks import Tasks
from app.sandbox.webhook import FetchFailure, Target, WebhookClient

API_VERSION = "2010-04-01"


class StatusCallbacks:
    """Posts each change of a message to its own URL, else to its Service's."""

    def __init__(self, account: Account, alerts: Alerts, client: WebhookClient, tasks: Tasks) -> None:
        """Post through ``client``, in the background."""
        self._account = account
        self._alerts = alerts
        self._client = client
        self._tasks = tasks

    def report(self, message: Message, turns: asyncio.Lock) -> None:
        """Post a message's present status, after the earlier ones that share ``turns``.

        Twilio promises no order (facts 7); the sandbox keeps it until a fault asks otherwise.
        """
        url = self._url(message)
        if not url:
            return
        if self._tasks.full:
            self._alerts.add(11200, "too many status callbacks at once", resource_sid=message.sid)
            return
        self._tasks.start(self._post(message, url, turns))

    def _url(self, message: Message) -> str:
        service = self._account.service(message.service_sid) if message.service_sid else None
        return message.status_callback or (service.status_callback if service else "")

    async def _post(self, message: Message, url: str, turns: asyncio.Lock) -> None:
        async with turns:
            answer = await self._client.fetch(Target(url), status_parameters(self._account.sid, message))
        if isinstance(answer, FetchFailure):
            self._alerts.add(answer.code, answer.reason, resource_sid=message.sid, request_url=url)
        elif answer.body and answer.media_type not in ("text/xml", "application/xml"):
            reason = f"a status callback is answered by 204 or TwiML, not {answer.media_type or 'untyped'}"
            self._alerts.add(12300, reason, resource_sid=message.sid, request_url=url)


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
    if message.status in (Status.DELIVERED, Status.UNDELIVERED):
        parameters["RawDlrDoneDate"] = message.updated.strftime("%y%m%d%H%M")
    return parameters
