"""Faults on request: how Twilio's REST API misbehaves until told otherwise."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from enum import Enum

LONGEST_HANG = 60.0
"""Seconds of real time; then even a hanging request is answered with 503."""


class FaultKind(Enum):
    """What happens instead of an answer."""

    STATUS = "status"
    GARBAGE = "garbage"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class RestFault:
    """One way to misbehave. ``count`` is how many calls it strikes; None until it is cleared."""

    kind: FaultKind
    status: int = 500
    count: int | None = None


class Faults:
    """The faults that are switched on."""

    def __init__(self) -> None:
        """Start without any."""
        self._rest: RestFault | None = None
        self._cleared = asyncio.Event()

    @property
    def rest(self) -> RestFault | None:
        """The fault that the next REST call meets."""
        return self._rest

    def set_rest(self, fault: RestFault) -> None:
        """Switch a fault on, in place of the one before."""
        self.clear()
        self._rest = fault
        self._cleared = asyncio.Event()

    def clear(self) -> None:
        """Switch all faults off; hanging requests are let go."""
        self._rest = None
        self._cleared.set()

    def strike(self) -> RestFault | None:
        """Return the fault for one call, and count it."""
        fault = self._rest
        if fault and fault.count is not None:
            self._rest = replace(fault, count=fault.count - 1) if fault.count > 1 else None
        return fault

    async def hang(self) -> None:
        """Wait until the faults are cleared, for ``LONGEST_HANG`` seconds at most."""
        try:
            async with asyncio.timeout(LONGEST_HANG):
                await self._cleared.wait()
        except TimeoutError:
            return
