"""What a customer's page means to Twilio: TwiML, a plain text, or a failure with its code (facts 1.5)."""

from __future__ import annotations

from sms_router.sandbox.webhooks.page import FetchFailure, WebhookPage
from sms_router.sandbox.webhooks.twiml import MessageVerb, Unreadable, Verb, read_twiml

_TWIML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})


def read_page(page: WebhookPage) -> tuple[Verb, ...] | FetchFailure:
    """Return the verbs of a page; ``text/plain`` is one message with the page as its text."""
    if page.media_type == "text/plain" and page.body:
        return (MessageVerb(page.body.decode(errors="replace")),)
    verbs = _refused(page) or read_twiml(page.body)
    if isinstance(verbs, Unreadable):
        return FetchFailure(verbs.code, verbs.reason, page.url, page.status)
    return verbs


def _refused(page: WebhookPage) -> Unreadable | None:
    if not page.body:
        return Unreadable(11770, "the answer is empty; say nothing with <Response/>")
    if not page.media_type:
        return Unreadable(11200, "the answer has no Content-Type")
    if page.media_type not in _TWIML_TYPES:
        return Unreadable(12300, f"{page.media_type} cannot be executed")
    return None
