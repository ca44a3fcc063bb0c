"""Locates the current master through its Sentinels, before each connection."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import hiredis

from sms_router.store.connection import run_once
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.url import Address, RedisUrl

SENTINEL_TIMEOUT = 0.5
"""Seconds for one Sentinel; then the next one is asked."""


class SentinelLocator:
    """Returns the master's address; the Sentinel that answered last is asked first."""

    def __init__(self, url: RedisUrl) -> None:
        self._sentinels = list(url.seeds)
        self._master = url.master
        self._login = url.login

    async def locate(self) -> Address:
        """Return the master's address.

        The caller checks whether the server accepts writes: after a failover a Sentinel may be late.

        Raises:
            StoreUnavailableError: when no Sentinel answers, or none knows the master.

        """
        reasons = []
        for sentinel in tuple(self._sentinels):
            try:
                async with asyncio.timeout(SENTINEL_TIMEOUT):
                    response = await run_once(sentinel, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master))
            except (OSError, TimeoutError, StoreUnavailableError) as error:
                reasons.append(f"the Sentinel {sentinel}: {str(error) or 'no answer in time'}")
                continue
            if isinstance(response, list):
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                host, port = response
                return replace(self._login, host=host.decode(), port=int(port))
            is_error = isinstance(response, hiredis.ReplyError)
            reason = str(response) if is_error else f"knows no master {self._master!r}"
            reasons.append(f"the Sentinel {sentinel}: {reason}")
        raise StoreUnavailableError("; ".join(reasons))
