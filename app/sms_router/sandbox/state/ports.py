"""Port-in requests, the status of each number in them, and which numbers can be ported (facts 9.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.world.numbers import NumberKind, country_of, kind_of, new_phone_number


class PortStatus(Enum):
    """Twilio's statuses of one number in a request."""

    IN_REVIEW = "in_review"
    WAITING_FOR_SIGNATURE = "waiting_for_signature"
    SUBMITTED = "port_submitted"
    REJECTED = "port_rejected"
    PENDING = "port_pending"
    CANCELED = "canceled"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class PortingNumber:
    """One number of a port-in request."""

    sid: str
    address: str
    status: PortStatus = PortStatus.IN_REVIEW
    port_date: datetime | None = None
    reason: str | None = None
    """Why the losing carrier rejected it."""


@dataclass(frozen=True, slots=True)
class PortIn:
    """One port-in request."""

    sid: str
    created: datetime
    numbers: tuple[PortingNumber, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(number.address for number in self.numbers)

    @property
    def status(self) -> str:
        """Twilio's status of the whole request: that of the number that has made the least progress.

        INFERENCE: Twilio does not document how it follows from the numbers.
        """
        statuses = {number.status for number in self.numbers}
        if PortStatus.REJECTED in statuses:
            return "Action Required"
        return next(label for status, label in _REQUEST_STATUSES if status in statuses)


_REQUEST_STATUSES = (
    (PortStatus.IN_REVIEW, "In review"),
    (PortStatus.WAITING_FOR_SIGNATURE, "Waiting for Signature"),
    (PortStatus.SUBMITTED, "In progress"),
    (PortStatus.PENDING, "In progress"),
    (PortStatus.COMPLETED, "Completed"),
    (PortStatus.CANCELED, "Canceled"),
)
"""By progress."""


@dataclass(frozen=True, slots=True)
class PortabilityResult:
    """Whether a number can be ported by the API."""

    is_portable: bool
    reason: str | None = None
    """Why not."""
    pin_required: bool = False
    """True when the losing carrier requires the PIN and the account number."""


class Ports:
    """The account's port-in requests, and which numbers can be ported."""

    def __init__(self, account: Account, identifiers: Identifiers, clock: Clock) -> None:
        self._account = account
        self._identifiers = identifiers
        self._clock = clock
        self._requests: dict[str, PortIn] = {}
        self._portability: dict[str, PortabilityResult] = {}

    @property
    def requests(self) -> Iterable[PortIn]:
        """All requests, oldest first."""
        return self._requests.values()

    def find(self, sid: str) -> PortIn | None:
        return self._requests.get(sid)

    def open(self, addresses: Iterable[str]) -> PortIn:
        numbers = tuple(PortingNumber(self._identifiers.sid("PU"), address) for address in addresses)
        port = PortIn(self._identifiers.sid("KW"), self._clock.now(), numbers)
        self._requests[port.sid] = port
        return port

    def portability(self, address: str) -> PortabilityResult:
        """Return whether a number can be ported: as it was set, else landline and mobile ones of the US."""
        if address in self._portability:
            return self._portability[address]
        number = self._account.number_at(address)
        if number is not None and not number.is_porting:
            return PortabilityResult(is_portable=False, reason="The number is on this account already")
        if kind_of(address) is NumberKind.TOLL_FREE:
            return PortabilityResult(is_portable=False, reason="Toll-free numbers are not ported by the API")
        if country_of(address) != "US":
            return PortabilityResult(is_portable=False, reason="The API ports numbers of the US only")
        return PortabilityResult(is_portable=True)

    def set_portability(self, address: str, portability: PortabilityResult) -> None:
        self._portability[address] = portability

    def set_status(
        self,
        port: PortIn,
        addresses: Iterable[str],
        status: PortStatus,
        port_date: datetime | None = None,
        reason: str | None = None,
    ) -> PortIn:
        """Set the status of some numbers of a request, and return the changed request.

        A number is on the account once the losing carrier has agreed, so that it can join a Service before
        its port date (INFERENCE); what is sent from it before it is ported is rejected with 21659.
        """
        selected = set(addresses)
        numbers = tuple(
            replace(number, status=status, port_date=port_date or number.port_date, reason=reason)
            if number.address in selected
            else number
            for number in port.numbers
        )
        for number in numbers:
            if number.address in selected:
                self._update_account(number)
        self._requests[port.sid] = replace(port, numbers=numbers)
        return self._requests[port.sid]

    def _update_account(self, port: PortingNumber) -> None:
        number = self._account.number_at(port.address)
        if port.status in {PortStatus.PENDING, PortStatus.COMPLETED}:
            if number is None:
                number = new_phone_number(self._identifiers.sid("PN"), port.address, self._clock.now())
            self._account.save_number(replace(number, is_porting=port.status is PortStatus.PENDING))
        elif number is not None and number.is_porting:
            self._account.remove_number(number.sid)
