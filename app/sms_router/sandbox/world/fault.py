"""Faults on request, in the form of ``sandbox.toml``, scenarios and ``POST /sandbox/faults``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import Field, Strict, ValidationInfo, field_validator, model_validator

from sms_router.sandbox.world.types import Flag, Seconds
from sms_router.toml import StrictModel

_Count = Annotated[int, Strict(), Field(ge=1, le=1_000_000)]
_Value = TypeVar("_Value")


class RestKind(StrEnum):
    """What happens to a REST call."""

    STATUS = "status"
    """It returns an error status."""
    GARBAGE = "garbage"
    """It returns something that is not JSON."""
    HANG = "hang"
    """It returns nothing."""
    SLOW = "slow"
    """Its response takes ``seconds`` longer."""
    HALF = "half"
    """The connection is closed in the middle of the response."""


_DEFAULTS: Mapping[str, Mapping[str, float]] = {"status": {"status": 500}, "slow": {"seconds": 1.0}}
"""By kind: the key that only this kind has, and its value."""


class RestFault(StrictModel):
    """A fault of Twilio's REST API."""

    kind: RestKind
    status: Annotated[int, Strict(), Field(ge=400, le=599)] | None = None
    seconds: Seconds | None = None
    """Real time."""
    path: str = ""
    """Only calls whose path contains this text are affected."""
    after: Flag = False
    """True: the call takes effect before it fails: a message is sent although the caller gets an error."""
    count: _Count | None = None
    """How many calls are affected; None: until the fault is cleared."""

    @model_validator(mode="before")
    @classmethod
    def _add_defaults(cls, values: Any) -> Any:
        kind = values.get("kind") if isinstance(values, dict) else None
        return {**_DEFAULTS.get(kind, {}), **values} if isinstance(kind, str) else values

    @field_validator("status", "seconds")
    @classmethod
    def _belongs_to_kind(cls, value: _Value, info: ValidationInfo) -> _Value:
        kind = info.data.get("kind")
        if kind is not None and info.field_name not in _DEFAULTS.get(kind, {}):
            owner = next(name for name, keys in _DEFAULTS.items() if info.field_name in keys)
            raise ValueError(f'goes with kind = "{owner}" only')
        return value


class WebhookKind(StrEnum):
    """What happens to the request about an inbound message."""

    TWICE = "twice"
    """It is delivered twice at once, and only the later response counts."""
    UNHEARD = "unheard"
    """It is delivered, and its response is lost: Twilio calls the fallback URL."""


class WebhookFault(StrictModel):
    """A fault of the webhooks about inbound messages."""

    kind: WebhookKind
    count: _Count | None = None
    """How many webhooks are affected; None: until the fault is cleared."""


class ReceiptFault(StrictModel):
    """A fault of the status callbacks."""

    late: Annotated[Seconds, Field(le=7 * 24 * 3600)] = 0.0
    """On the sandbox's clock."""
    twice: Flag = False
    backwards: Flag = False
    """True: a message's callbacks are held back until the last one, which is posted first."""
    lost: Flag = False
    count: _Count | None = None
    """How many callbacks are affected; None: until the fault is cleared."""


class FaultSet(StrictModel):
    """At most one fault of each sort."""

    rest: RestFault | None = None
    webhooks: WebhookFault | None = None
    receipts: ReceiptFault | None = None
