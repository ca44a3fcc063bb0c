"""The URLs that numbers had before a Service took them over: a router gives them back (design 1, 9)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from sms_router.routing.upstream.forward_rule import Forward, Target, is_loop
from sms_router.senders.country import country_of
from sms_router.senders.pool import PoolFinder
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.webhook_url import Method, WebhookUrl

log = logging.getLogger("sms_router.upstream")


class HasNumberUrls(Protocol):
    """What Twilio keeps for a number or short code (facts 3)."""

    @property
    def sms_url(self) -> str | None: ...
    @property
    def sms_method(self) -> str: ...
    @property
    def sms_fallback_url(self) -> str | None: ...
    @property
    def sms_fallback_method(self) -> str: ...
    @property
    def sms_application_sid(self) -> str | None: ...


class NumberForwards:
    """Finds the forward of the number that was texted."""

    def __init__(
        self,
        pool_for: PoolFinder,
        urls_of: Callable[[str, str], HasNumberUrls | None],
        used_by: Callable[[str], bool],
        public_url: str,
        redirect_hosts: frozenset[str] = frozenset(),
    ) -> None:
        """Take where pools come from, and for a Service and the sid of its number, the number's URLs.

        ``used_by`` says whether a Service's numbers use their own; ``public_url`` is the router's,
        which a number may still have for its own.
        """
        self._pool_for = pool_for
        self._urls_of = urls_of
        self._used_by = used_by
        self._own = public_url
        self._hosts = redirect_hosts
        self._read = lru_cache(maxsize=4096)(self._forward)
        self._tell_of_application = lru_cache(maxsize=4096)(_tell_of_application)

    def forward_for(self, message: InboundMessage) -> Forward | None:
        """Return where the texted number itself would have the text go; None for nowhere."""
        pool = self._pool_for(message.service_sid, message.recipient)
        if pool is None or not self._used_by(pool.service_sid):
            return None
        country = country_of(message.sender, message.from_country)
        sender = pool.find(message.recipient, country)
        urls = self._urls_of(pool.service_sid, sender.sid) if sender is not None else None
        if urls is None or not urls.sms_url:
            return None
        if urls.sms_application_sid:
            self._tell_of_application(message.recipient, urls.sms_application_sid)
            return None
        return self._read(
            message.recipient, urls.sms_url, urls.sms_method, urls.sms_fallback_url, urls.sms_fallback_method
        )

    def _forward(
        self, number: str, url: str, method: str, fallback_url: str | None, fallback_method: str
    ) -> Forward | None:
        primary = self._target(number, "sms_url", url, method)
        if primary is None:
            return None
        fallback = None
        if fallback_url:
            fallback = self._target(number, "sms_fallback_url", fallback_url, fallback_method)
        return Forward(primary, fallback, redirect_hosts=self._hosts)

    def _target(self, number: str, name: str, text: str, method: str) -> Target | None:
        try:
            url = WebhookUrl.parse(text)
        except ValueError as error:
            log.warning("the %s of %s at Twilio cannot be called: it %s", name, number, error)
            return None
        if is_loop(url, self._own):
            log.warning("the %s of %s at Twilio is this router's own; it is not called", name, number)
            return None
        return Target(url, Method.GET if method == "GET" else Method.POST)


def _tell_of_application(number: str, application_sid: str) -> None:
    log.warning(
        "%s has the TwiML application %s, which makes its sms_url void; its texts get the default", number,
        application_sid,
    )  # fmt: skip
