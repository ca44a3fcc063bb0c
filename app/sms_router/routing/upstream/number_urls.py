"""The numbers' own ``sms_url``, which Twilio ignores in a Service: the router forwards to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from sms_router.routing.upstream.forward_rule import Forward, Target, is_own
from sms_router.senders.country import country_of
from sms_router.senders.pool import PoolFinder
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.webhook_url import Method, NumberUrls, WebhookUrl

log = logging.getLogger("sms_router.upstream")


@dataclass(eq=False)
class NumberForwards:
    """Finds the forward of the number that was texted."""

    pool_for: PoolFinder
    urls_of: Callable[[str, str], NumberUrls | None]
    """Returns the URLs of a number, by the sids of its Service and of itself."""
    is_enabled: Callable[[str], bool]
    """Returns whether texts to a Service are forwarded to the URLs of its numbers."""
    public_url: str
    """The router's own; a number that still has it is not forwarded to."""
    redirect_hosts: frozenset[str] = frozenset()
    public_only: bool = field(default=True, kw_only=True)
    """Whether the URLs may lead to public addresses only."""

    def __post_init__(self) -> None:
        # Cached so that a URL is parsed once, and a warning about it is logged once.
        self._parse = lru_cache(maxsize=4096)(self._parse_uncached)
        self._log_application = lru_cache(maxsize=4096)(_log_application)

    def forward_for(self, message: InboundMessage) -> Forward | None:
        pool = self.pool_for(message.service_sid, message.recipient, message.account_sid)
        if pool is None or not self.is_enabled(pool.service_sid):
            return None
        sender = pool.find(message.recipient, country_of(message.contact, message.from_country))
        urls = self.urls_of(pool.service_sid, sender.sid) if sender is not None else None
        if urls is None or not urls.sms_url:
            return None
        if urls.sms_application_sid:
            self._log_application(message.recipient, urls.sms_application_sid)
            return None
        return self._parse(
            message.recipient, urls.sms_url, urls.sms_method, urls.sms_fallback_url, urls.sms_fallback_method
        )

    def _parse_uncached(
        self, number: str, url: str, method: str, fallback_url: str | None, fallback_method: str
    ) -> Forward | None:
        if (primary := self._parse_target(number, "sms_url", url, method)) is None:
            return None
        fallback = None
        if fallback_url:
            fallback = self._parse_target(number, "sms_fallback_url", fallback_url, fallback_method)
        return Forward(
            primary,
            fallback,
            redirect_hosts=self.redirect_hosts,
            public_only=self.public_only,
            own_url=self.public_url,
        )

    def _parse_target(self, number: str, name: str, text: str, method: str) -> Target | None:
        try:
            url = WebhookUrl.parse(text)
        except ValueError as error:
            log.warning("the %s of %s at Twilio cannot be called: it %s", name, number, error)
            return None
        if is_own(url, self.public_url):
            log.warning(
                "the %s of %s at Twilio is the router's own; nothing is forwarded to it", name, number
            )
            return None
        return Target(url, Method.GET if method == "GET" else Method.POST)


def _log_application(number: str, application_sid: str) -> None:
    log.warning(
        "%s has the TwiML application %s, which makes Twilio ignore its sms_url; its texts get the default"
        " reply", number, application_sid,
    )  # fmt: skip
