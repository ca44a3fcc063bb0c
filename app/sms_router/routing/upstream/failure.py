"""Why an upstream gave no answer."""

from __future__ import annotations

from dataclasses import dataclass

from sms_router.twilio.webhook_url import WebhookUrl


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """A document that could not be had, with Twilio's code for it (facts 3)."""

    code: int
    reason: str
    url: WebhookUrl
    counts_against_circuit: bool = False
    """Whether it speaks of the server itself: it is not reached, does not answer, or answers 5xx."""
    called: bool = True
    """False when the server was not even asked."""

    def __str__(self) -> str:
        """Say it in one line, without what may be secret."""
        return f"{self.url}: {self.code} {self.reason}"
