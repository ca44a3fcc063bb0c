"""The Sentinels of a master: asked where it is before each connection to it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import hiredis

from sms_router.store.address import Address
from sms_router.store.connection import ask_once
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.url import RedisUrl

ANSWER_WITHIN = 0.5
"""Seconds for one Sentinel; then the next one is asked."""


class SentinelLocator:
    """Who knows the master's address. The one that answered last is asked first."""

    def __init__(self, deployment: RedisUrl) -> None:
        """Take the Sentinels' addresses, the master's name and its login."""
        self._doors = list(deployment.seeds)
        self._name = deployment.master
        self._login = deployment.login

    async def locate(self) -> Address:
        """Return where the master is now.

        Whether it takes writes is for the caller to see: after a failover a Sentinel may be late.

        Raises:
            StoreUnavailableError: when no Sentinel answers, or none knows the name.

        """
        reasons = []
        for door in tuple(self._doors):
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    answer = await ask_once(door, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name))
            except (OSError, TimeoutError, StoreUnavailableError) as error:
                reasons.append(f"the Sentinel {door}: {str(error) or 'no answer in time'}")
                continue
            if isinstance(answer, list):
                self._doors.remove(door)
                self._doors.insert(0, door)
                host, port = answer
                return replace(self._login, host=host.decode(), port=int(port))
            said = (
                str(answer) if isinstance(answer, hiredis.ReplyError) else f"knows no master {self._name!r}"
            )
            reasons.append(f"the Sentinel {door}: {said}")
        raise StoreUnavailableError("; ".join(reasons))
