"""What Twilio calls: the inbound message, its fallback, and status callbacks."""

from __future__ import annotations

import logging
import time

from starlette.types import Receive, Scope, Send

from sms_router.logs import current_message_sid
from sms_router.routing.contacts.status_callbacks import ReceiptHandler
from sms_router.routing.inbox.answer import Outcome
from sms_router.routing.pipeline.context import FallbackError, InboundRequest
from sms_router.twilio.form import MalformedFormError, first_values, parse_form
from sms_router.twilio.inbound import InvalidWebhook, read_inbound
from sms_router.twilio.status import read_receipt
from sms_router.web import metrics
from sms_router.web.authentication import WebhookAuthenticator
from sms_router.web.http import Rejection, send_empty, send_twiml
from sms_router.web.rejections import RejectionLog
from sms_router.web.tracing import Answering

log = logging.getLogger("sms_router.web")


class InboundEndpoint:
    """``/sms`` and ``/sms/fallback``: one message in, one answer out."""

    def __init__(self, gate: WebhookAuthenticator, pipeline: Answering, fallback: bool) -> None:
        """``fallback`` is True for the URL that Twilio calls when the first one failed."""
        self._gate = gate
        self._pipeline = pipeline
        self._fallback = fallback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        arrived = time.monotonic()
        genuine = await self._gate.authenticate(scope, receive)
        if isinstance(genuine, Rejection):
            await refuse(send, genuine, self._gate.refusals)
            return
        message = read_inbound(genuine.parameters)
        if isinstance(message, InvalidWebhook):
            log.warning("a signed request is not a message: %s", message.reason)
            self._gate.refusals.record_reason(Rejection.MALFORMED.word, message.reason)
            await refuse(send, Rejection.MALFORMED, self._gate.refusals)
            return
        current_message_sid.set(message.sid)
        cause = None
        if self._fallback:
            parameters = genuine.parameters
            cause = FallbackError(parameters.get("ErrorCode", ""), parameters.get("ErrorUrl", ""))
        answer = await self._pipeline.answer(
            InboundRequest(message, genuine.raw, cause, arrived, scope["headers"])
        )
        metrics.count_answer(answer.outcome, time.monotonic() - arrived)
        if answer.outcome is Outcome.RELEASED:
            await send_empty(send, 502)
        else:
            await send_twiml(send, answer.document)


class StatusEndpoint:
    """``/sms/status``: how far a reply has come."""

    def __init__(self, gate: WebhookAuthenticator, receipts: ReceiptHandler) -> None:
        """Take the gate and where receipts are kept."""
        self._gate = gate
        self._receipts = receipts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI); 204 is what Twilio wants to hear (facts 1.5).

        Statuses come by POST alone (facts 7): there is nothing at Twilio that would make it a GET.
        """
        if scope["method"] != "POST":
            await refuse(send, Rejection.WRONG_METHOD, self._gate.refusals, allow=b"POST")
            return
        genuine = await self._gate.authenticate(scope, receive)
        if isinstance(genuine, Rejection):
            await refuse(send, genuine, self._gate.refusals)
            return
        receipt = read_receipt(genuine.parameters, _reply_id(scope["query_string"]))
        if isinstance(receipt, InvalidWebhook):
            # It is Twilio's, and an error would only fill its debugger: nobody there can mend it.
            log.warning("a status callback is not understood: %s", receipt.reason)
            metrics.REFUSED.labels("unknown status callback").inc()
            await send_empty(send, 204)
            return
        metrics.count_receipt(receipt.status.value, receipt.error_code)
        fault = await self._receipts.handle(receipt)
        if fault is not None:
            metrics.FAULTS.labels(fault.kind, fault.sender).inc()
        await send_empty(send, 204)


async def refuse(send: Send, refusal: Rejection, refusals: RejectionLog, allow: bytes = b"GET, POST") -> None:
    """Answer a refused request: its status and nothing else."""
    refusals.count(refusal.word)
    await send_empty(send, refusal.status, allow)


def _reply_id(query: bytes) -> str | None:
    """Return what our own callback URL says about the message; anything else in it is not ours."""
    try:
        return first_values(parse_form(query)).get("reply")
    except MalformedFormError:
        return None
