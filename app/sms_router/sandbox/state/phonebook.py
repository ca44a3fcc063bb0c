"""The phones as they are now: a phone may be switched off, or change its carrier, in mid-conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sms_router.sandbox.world.world import Carrier, Phone, PhoneState, World


class Phonebook:
    """Seeded from the world; a phone that is not listed is on the default carrier."""

    def __init__(self, world: World) -> None:
        """Take the phones and carriers of the world."""
        self._world = world
        self._phones = dict(world.phones)

    @property
    def carriers(self) -> Mapping[str, Carrier]:
        """The carriers by name."""
        return self._world.carriers

    @property
    def listed(self) -> Iterable[Phone]:
        """The phones that the configuration lists, or that were changed since."""
        return self._phones.values()

    def phone(self, number: str) -> Phone:
        """Return the phone with this number."""
        return self._phones.get(number) or self._world.phone(number)

    def change(self, number: str, state: PhoneState | None, carrier: Carrier | None) -> Phone:
        """Change a phone's state, its carrier, or both; None leaves it as it is."""
        phone = self.phone(number)
        phone = replace(phone, state=state or phone.state, carrier=carrier or phone.carrier)
        self._phones[number] = phone
        return phone
