"""The outcome of calling a URL: a page, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

from sms_router.sandbox.webhooks.connection_policy import WebhookFailureKind
from sms_router.sandbox.world.numbers import HttpMethod


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """A URL to call, and how."""

    url: str
    method: HttpMethod = HttpMethod.POST


@dataclass(frozen=True, slots=True)
class WebhookPage:
    """An answer below 400. ``media_type`` has no parameters and is in lower case."""

    url: str
    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """Why there is no page, with the debugger's code (facts 3).

    ``trouble`` says what sort it is, where a ``#rp`` override may ask for another try. ``challenge``
    is the ``WWW-Authenticate`` of a 401, in lower case.
    """

    code: int
    reason: str
    url: str
    status: int | None = None
    trouble: WebhookFailureKind | None = None
    challenge: str = ""


def linked(page_url: str, reference: str) -> str:
    """Return the URL that a page refers to; what is no URL stays as it is, and fails when it is called."""
    try:
        return urljoin(page_url, reference)
    except ValueError:
        return reference
