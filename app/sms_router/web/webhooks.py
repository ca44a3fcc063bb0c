"""The endpoints that Twilio calls: the inbound message, its fallback, and status callbacks."""

from __future__ import annotations

import logging
import time

from starlette.types import Receive, Scope, Send

from sms_router.logs import current_message_sid
from sms_router.routing.contacts.status_callbacks import ReceiptHandler
from sms_router.routing.inbox.answer import Outcome
from sms_router.routing.pipeline.context import FallbackError, InboundRequest
from sms_router.twilio.form import MalformedFormError, first_values, parse_form
from sms_router.twilio.inbound import InvalidWebhook, parse_inbound
from sms_router.twilio.status import parse_receipt
from sms_router.web import metrics
from sms_router.web.authentication import WebhookAuthenticator
from sms_router.web.http import Rejection, send_empty, send_twiml
from sms_router.web.rejections import RejectionLog
from sms_router.web.tracing import Answering

log = logging.getLogger("sms_router.web")


class InboundEndpoint:
    """``/sms`` and ``/sms/fallback``: answers one message with TwiML.

    Args:
        authenticator: reads and verifies the request.
        pipeline: answers the message.
        fallback: True for the URL that Twilio calls when the first one failed.

    """

    def __init__(self, authenticator: WebhookAuthenticator, pipeline: Answering, fallback: bool) -> None:
        self._authenticator = authenticator
        self._pipeline = pipeline
        self._fallback = fallback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = time.monotonic()
        verified = await self._authenticator.authenticate(scope, receive)
        if isinstance(verified, Rejection):
            await reject(send, verified, self._authenticator.rejections)
            return
        message = parse_inbound(verified.parameters)
        if isinstance(message, InvalidWebhook):
            log.warning("%s is not a message: %s", verified.description, message.reason)
            self._authenticator.rejections.record_reason(Rejection.MALFORMED.word, message.reason)
            await reject(send, Rejection.MALFORMED, self._authenticator.rejections)
            return
        current_message_sid.set(message.sid)
        error = None
        if self._fallback:
            parameters = verified.parameters
            error = FallbackError(parameters.get("ErrorCode", ""), parameters.get("ErrorUrl", ""))
        answer = await self._pipeline.answer(
            InboundRequest(message, verified.raw, error, arrived, scope["headers"])
        )
        metrics.count_answer(answer.outcome, time.monotonic() - arrived)
        if answer.outcome is Outcome.RELEASED:
            await send_empty(send, 502)
        else:
            await send_twiml(send, answer.document)


class StatusEndpoint:
    """``/sms/status``: takes a status callback and returns 204 (facts 1.5)."""

    def __init__(self, authenticator: WebhookAuthenticator, receipts: ReceiptHandler) -> None:
        self._authenticator = authenticator
        self._receipts = receipts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["method"] != "POST"
        ):  # Twilio has no setting for another method of status callbacks (facts 7)
            await reject(send, Rejection.WRONG_METHOD, self._authenticator.rejections, allow=b"POST")
            return
        verified = await self._authenticator.authenticate(scope, receive)
        if isinstance(verified, Rejection):
            await reject(send, verified, self._authenticator.rejections)
            return
        receipt = parse_receipt(verified.parameters, _reply_id(scope["query_string"]))
        if isinstance(receipt, InvalidWebhook):
            # An error status would only add an alert at Twilio without a remedy.
            log.warning("%s is not a known status callback: %s", verified.description, receipt.reason)
            metrics.REFUSED.labels("unknown status callback").inc()
            await send_empty(send, 204)
            return
        metrics.count_receipt(receipt.status.value, receipt.error_code)
        failure = await self._receipts.handle(receipt)
        if failure is not None:
            metrics.FAULTS.labels(failure.error_class, failure.sender).inc()
        await send_empty(send, 204)


async def reject(
    send: Send, rejection: Rejection, rejections: RejectionLog, allow: bytes = b"GET, POST"
) -> None:
    """Count a rejection and send its status without a body."""
    rejections.count(rejection.word)
    await send_empty(send, rejection.status, allow)


def _reply_id(query: bytes) -> str | None:
    """Return the id of the reply from our own callback URL; None where the query is not ours."""
    try:
        return first_values(parse_form(query)).get("reply")
    except MalformedFormError:
        return None
