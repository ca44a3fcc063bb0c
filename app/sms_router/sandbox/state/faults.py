"""The active faults, and how many more requests each of them affects."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from sms_router.sandbox.world.fault import FaultSet, ReceiptFault, RestFault, WebhookFault

HANG_TIMEOUT = 60.0
"""Seconds of real time; then even a hanging request gets 503."""

_Fault = TypeVar("_Fault", RestFault, WebhookFault, ReceiptFault)


class ActiveFault(Generic[_Fault]):
    """At most one fault of a sort, with its remaining count."""

    def __init__(self, fault: _Fault | None) -> None:
        self.fault: _Fault | None = fault

    def consume(self) -> _Fault | None:
        """Return the fault for one request, and count it."""
        fault = self.fault
        if fault is not None and fault.count is not None:
            self.fault = fault.model_copy(update={"count": fault.count - 1}) if fault.count > 1 else None
        return fault


class Faults:
    """The active faults of all sorts."""

    def __init__(self, faults: FaultSet = FaultSet()) -> None:  # noqa: B008 (a frozen value)
        self.rest = ActiveFault(faults.rest)
        self.webhooks = ActiveFault(faults.webhooks)
        self.receipts = ActiveFault(faults.receipts)
        self._cleared = asyncio.Event()

    @property
    def active(self) -> FaultSet:
        return FaultSet(rest=self.rest.fault, webhooks=self.webhooks.fault, receipts=self.receipts.fault)

    def switch_on(self, faults: FaultSet) -> None:
        """Replace the faults of the sorts that are given; the other sorts are unchanged."""
        if faults.rest:
            self._release()
            self.rest.fault = faults.rest
        self.webhooks.fault = faults.webhooks or self.webhooks.fault
        self.receipts.fault = faults.receipts or self.receipts.fault

    def clear(self) -> None:
        """Switch all faults off, and release hanging requests."""
        self._release()
        self.rest.fault = self.webhooks.fault = self.receipts.fault = None

    def consume_rest(self, path: str) -> RestFault | None:
        """Return the fault for a REST call to this path, and count it."""
        fault = self.rest.fault
        return self.rest.consume() if fault and fault.path in path else None

    async def hang(self) -> None:
        """Return when the REST fault is cleared or replaced, at the latest after ``HANG_TIMEOUT``."""
        try:
            async with asyncio.timeout(HANG_TIMEOUT):
                await self._cleared.wait()
        except TimeoutError:
            return

    def _release(self) -> None:
        self._cleared.set()
        self._cleared = asyncio.Event()
