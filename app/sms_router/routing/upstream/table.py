"""``forward = { url = ... }`` of ``keywords.toml``, checked."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sms_router.routing.upstream.forward_rule import Forward, Target, origins_of
from sms_router.twilio.webhook_url import Method, WebhookUrl

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def _url(text: str) -> str:
    WebhookUrl.parse(text)
    return text


def _host(text: str) -> str:
    try:
        origins_of(text)
    except ValueError:
        text = ""
    if not _HOST.fullmatch(text):
        raise ValueError("must be a host like votes.example.com, with :8443 behind it for another port")
    return text.lower()


Url = Annotated[str, AfterValidator(_url)]
Host = Annotated[str, AfterValidator(_host)]


class ForwardModel(BaseModel):
    """Where a keyword's texts are forwarded to."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Url
    method: Method = Method.POST
    fallback_url: Url | None = None
    fallback_method: Method = Method.POST
    timeout: Annotated[float, Field(ge=0.1, le=15)] | None = None
    redirect_hosts: tuple[Host, ...] = ()

    @model_validator(mode="after")
    def _check_fallback(self) -> Self:
        if self.fallback_url is None and "fallback_method" in self.model_fields_set:
            raise ValueError("has a fallback_method and no fallback_url; add it")
        return self

    def forward(self) -> Forward:
        """Return the forward that the table describes."""
        fallback = None
        if self.fallback_url is not None:
            fallback = Target(WebhookUrl.parse(self.fallback_url), self.fallback_method)
        primary = Target(WebhookUrl.parse(self.url), self.method)
        return Forward(primary, fallback, self.timeout, frozenset(self.redirect_hosts))
