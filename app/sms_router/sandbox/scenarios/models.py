"""The tables of a scenario file as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, Strict, ValidationInfo, field_validator

from sms_router.sandbox.inbound.session import SessionOutcome
from sms_router.sandbox.scenarios.scenario import (
    Application,
    ChangePort,
    ExpectedFailure,
    ExpectedMessage,
    one_or_several,
)
from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.models import PhoneTable, ServiceChanges
from sms_router.sandbox.world.types import (
    E164,
    CarrierName,
    OwnNumber,
    Seconds,
    TextSender,
    defined_names,
)
from sms_router.sandbox.world.world import Carrier, PhoneState
from sms_router.toml import StrictModel

MAX_MESSAGES = 200
"""A phone shows no more."""

_ACTIONS = (("texts", "media"), ("wait",), ("faults",), ("state", "carrier"), ("port",), ("command",))
"""Keys that make something happen; a step has those of one group at most."""

_Value = TypeVar("_Value")


def _expected_messages(value: object) -> object:
    """Read a list of texts and tables, or how many messages there must be."""
    if type(value) is int and 0 <= value <= MAX_MESSAGES:
        return ({},) * value
    if isinstance(value, list):
        return [{"equals": item} if isinstance(item, str) else item for item in value]
    raise ValueError(f"expected a list of texts and tables, or a number, got {value!r}")


class StepTable(StrictModel):
    """``[[steps]]``."""

    title: str | None = None
    texts: str | None = None
    media: tuple[str, ...] = ()
    group: tuple[E164, ...] = ()
    wait: Seconds | None = None
    faults: FaultSet | None = None
    state: PhoneState | None = None
    carrier: CarrierName | None = None
    port: ChangePort | None = None
    command: str | None = None
    to: OwnNumber | None = None
    shows: Annotated[tuple[ExpectedMessage, ...] | None, BeforeValidator(_expected_messages)] = None
    undelivered: tuple[ExpectedFailure, ...] | None = None
    alerts: tuple[Annotated[int, Strict()], ...] | None = None
    webhook: SessionOutcome | None = None
    prints: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = ()
    within: Annotated[Seconds, Field(le=60)] = 5.0
    # the last one: whether it may be missing depends on the others
    phone: Annotated[TextSender | None, Field(validate_default=True)] = None

    @field_validator("texts", "media")
    @classmethod
    def _number_exists(cls, value: _Value, info: ValidationInfo) -> _Value:
        if not defined_names(info).numbers:
            raise ValueError("the account has no short code or phone number that could be texted")
        return value

    @field_validator("wait", "faults", "state", "carrier", "port", "command")
    @classmethod
    def _one_action(cls, value: _Value, info: ValidationInfo) -> _Value:
        others = (key for keys in _ACTIONS if info.field_name not in keys for key in keys)
        if other := next((key for key in others if info.data.get(key) not in (None, ())), None):
            raise ValueError(f"a step does one thing, and {other} is another; write two steps")
        return value

    @field_validator("to", "webhook", "group")
    @classmethod
    def _belongs_to_a_text(cls, value: _Value, info: ValidationInfo) -> _Value:
        if info.data.get("texts", "") is None and not info.data.get("media", True):
            raise ValueError("goes with texts or media: nothing is texted here")
        return value

    @field_validator("prints")
    @classmethod
    def _belongs_to_a_command(cls, value: _Value, info: ValidationInfo) -> _Value:
        if info.data.get("command", "") is None:
            raise ValueError("goes with command: nothing prints here")
        return value

    @field_validator("phone")
    @classmethod
    def _needed(cls, phone: str | None, info: ValidationInfo) -> str | None:
        keys = ("texts", "media", "state", "carrier", "shows", "undelivered")
        if not phone and any(info.data.get(key) not in (None, ()) for key in keys):
            raise ValueError("is missing: whose phone is it?")
        return phone


class ScenarioFile(StrictModel):
    """A scenario."""

    title: str
    story: str = ""
    steps: Annotated[tuple[StepTable, ...], Field(min_length=1)]
    carriers: tuple[Carrier, ...] = ()
    phones: tuple[PhoneTable, ...] = ()
    faults: FaultSet = FaultSet()
    service: ServiceChanges | None = None
    application: Application | None = None
    router: dict[str, Any] | None = None
    conversations: dict[str, Any] | None = None
    loop_guard: dict[str, Any] | None = None
