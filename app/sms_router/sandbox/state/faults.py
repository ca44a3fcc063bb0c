"""The faults that are switched on, and how many times each still strikes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Generic, TypeVar

from sms_router.sandbox.world.fault import FaultSet, ReceiptFault, RestFault, WebhookFault

LONGEST_HANG = 60.0
"""Seconds of real time; then even a hanging request is answered with 503."""

Kind = TypeVar("Kind", RestFault, WebhookFault, ReceiptFault)


class Switch(Generic[Kind]):
    """One fault that is on or off, and counts down."""

    def __init__(self, fault: Kind | None) -> None:
        """Be on when there is a fault."""
        self.fault: Kind | None = fault

    def consume(self) -> Kind | None:
        """Return the fault for one request, and count it."""
        fault = self.fault
        if fault is not None and fault.count is not None:
            self.fault = replace(fault, count=fault.count - 1) if fault.count > 1 else None
        return fault


class Faults:
    """All that is switched on."""

    def __init__(self, faults: FaultSet = FaultSet()) -> None:  # noqa: B008 (a frozen value)
        """Start with those of the configuration."""
        self.rest = Switch(faults.rest)
        self.webhooks = Switch(faults.webhooks)
        self.receipts = Switch(faults.receipts)
        self._cleared = asyncio.Event()

    @property
    def present(self) -> FaultSet:
        """What is switched on."""
        return FaultSet(self.rest.fault, self.webhooks.fault, self.receipts.fault)

    def switch_on(self, faults: FaultSet) -> None:
        """Switch faults on, each in place of the one of its sort; the other sorts stay as they are."""
        if faults.rest:
            self._let_go()
            self.rest.fault = faults.rest
        self.webhooks.fault = faults.webhooks or self.webhooks.fault
        self.receipts.fault = faults.receipts or self.receipts.fault

    def clear(self) -> None:
        """Switch all faults off; hanging requests are let go."""
        self._let_go()
        self.rest.fault = self.webhooks.fault = self.receipts.fault = None

    def strike_rest(self, path: str) -> RestFault | None:
        """Return the fault for a REST call to this path, and count it."""
        fault = self.rest.fault
        return self.rest.consume() if fault and fault.path in path else None

    async def hang(self) -> None:
        """Wait until the faults are cleared, for ``LONGEST_HANG`` seconds at most."""
        try:
            async with asyncio.timeout(LONGEST_HANG):
                await self._cleared.wait()
        except TimeoutError:
            return

    def _let_go(self) -> None:
        self._cleared.set()
        self._cleared = asyncio.Event()
