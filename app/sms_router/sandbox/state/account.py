"""The account: its numbers, its Services and their sender pools."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sms_router.sandbox.world.numbers import FIRST_DAY, Number
from sms_router.sandbox.world.world import Service, World


@dataclass(frozen=True, slots=True)
class PoolMember:
    """One sender in a Service's pool; ``alpha_sender`` is empty for numbers."""

    sid: str
    created: datetime = FIRST_DAY
    alpha_sender: str = ""


class Account:
    """Starts as the world describes it, and is changed by REST."""

    def __init__(self, world: World) -> None:
        self.sid = world.account_sid
        self.friendly_name = "Sandbox"
        self._permitted_countries = world.permitted_countries
        self._services = {service.sid: service for service in world.services}
        self._numbers = {number.sid: number for number in world.numbers}
        self._sid_by_address = {number.address: number.sid for number in world.numbers}
        self._pools = {
            service.sid: {sid: PoolMember(sid) for sid in service.senders} for service in world.services
        }
        self._service_sids = {sid: service.sid for service in world.services for sid in service.senders}

    @property
    def services(self) -> Iterable[Service]:
        """All Messaging Services, oldest first."""
        return self._services.values()

    @property
    def numbers(self) -> Iterable[Number]:
        return self._numbers.values()

    def may_send_to(self, country: str) -> bool:
        """Return whether the account's geographic permissions include a country (21408)."""
        return not self._permitted_countries or country in self._permitted_countries

    def service(self, sid: str) -> Service | None:
        return self._services.get(sid)

    def number(self, sid: str) -> Number | None:
        return self._numbers.get(sid)

    def number_at(self, address: str) -> Number | None:
        """Return the number with this E.164 or short-code address."""
        return self._numbers.get(self._sid_by_address.get(address, ""))

    def service_of(self, sender_sid: str) -> Service | None:
        """Return the Service that a number is in; it is in one at most (facts 5.4)."""
        return self._services.get(self._service_sids.get(sender_sid, ""))

    def members(self, service_sid: str) -> Iterable[PoolMember]:
        """Return a Service's pool, oldest first."""
        return self._pools[service_sid].values()

    def member(self, service_sid: str, sender_sid: str) -> PoolMember | None:
        return self._pools[service_sid].get(sender_sid)

    def save_service(self, service: Service) -> None:
        self._services[service.sid] = service
        self._pools.setdefault(service.sid, {})

    def remove_service(self, sid: str) -> None:
        """Delete a Service; its numbers stay on the account."""
        del self._services[sid]
        for sender_sid in self._pools.pop(sid):
            self._service_sids.pop(sender_sid, None)

    def save_number(self, number: Number) -> None:
        self._numbers[number.sid] = number
        self._sid_by_address[number.address] = number.sid

    def remove_number(self, sid: str) -> None:
        """Release a number; it leaves its Service too."""
        service = self.service_of(sid)
        if service:
            self.remove_member(service.sid, sid)
        number = self._numbers.pop(sid)
        del self._sid_by_address[number.address]

    def add_member(self, service_sid: str, member: PoolMember) -> None:
        self._pools[service_sid][member.sid] = member
        self._service_sids[member.sid] = service_sid

    def remove_member(self, service_sid: str, sender_sid: str) -> None:
        """Remove a sender from a pool; a number stays on the account (facts 6.1)."""
        del self._pools[service_sid][sender_sid]
        del self._service_sids[sender_sid]
