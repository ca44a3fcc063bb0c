"""The senders of every Service in this worker's memory: asking costs a dictionary look-up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from sms_router.membership.service_state import Origin, ServiceState, ServiceStatus
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.source import ServiceSource
from sms_router.senders.pool import Pool, find_pool


class PoolRegistry:
    """Snapshots and pools side by side; only the event loop touches them."""

    def __init__(
        self, sources: Iterable[ServiceSource], clock: Callable[[], float], stale_after: float
    ) -> None:
        """Begin with nothing known. ``stale_after`` is the hard age in seconds."""
        self.held: Mapping[str, ServiceState] = {
            source.service_sid: ServiceState(source) for source in sources
        }
        self._clock = clock
        self._stale_after = stale_after
        self._stale: frozenset[str] = frozenset()
        self._pools: Mapping[str, Pool] = MappingProxyType({})

    @property
    def pools(self) -> Mapping[str, Pool]:
        """The pools by Service, replaced as a whole and never changed."""
        return self._pools

    def pool_for(self, service_sid: str | None, texted: str) -> Pool | None:
        """Return the pool of the message's Service, else of the Service that holds the texted number."""
        pool = find_pool(self._pools, service_sid, texted)
        if self._stale and pool is not None and pool.service_sid in self._stale:
            self.held[pool.service_sid].stale_serves += 1
        return pool

    def install(
        self, held: ServiceState, snapshot: Snapshot, pool: Pool | None, origin: Origin, changes: int
    ) -> None:
        """Put a snapshot in place, unless one that was read later is there.

        ``pool`` is None when the one that is there still holds.
        """
        if (changes, snapshot.version) < held.rank:
            return
        held.snapshot, held.origin, held.changes = snapshot, origin, changes
        if pool is not None:
            self._pools = MappingProxyType({**self._pools, snapshot.service_sid: pool})
        self.look_at_ages()

    def look_at_ages(self) -> None:
        """Find out which Services are past the hard age, so that asking need not."""
        now = self._clock()
        stale = (sid for sid, held in self.held.items() if held.stale(now, self._stale_after))
        self._stale = frozenset(stale)

    def statuses(self) -> tuple[ServiceStatus, ...]:
        """Return what probes and metrics tell, one for each Service."""
        now = self._clock()
        return tuple(held.status(now, self._stale_after) for held in self.held.values())
