"""The processes that ``serve`` runs: uvicorn starts another one where one is lost, and says nothing of it."""

from __future__ import annotations

import logging

from uvicorn.supervisors import Multiprocess

log = logging.getLogger("sms_router")


class Workers(Multiprocess):
    """What uvicorn does, told to the operator."""

    def keep_subprocess_alive(self) -> None:
        """Start another one for each that is lost or hangs (uvicorn calls this twice a second)."""
        before = list(self.processes)
        super().keep_subprocess_alive()
        for old, new in zip(before, self.processes, strict=True):
            if new is not old:
                log.error(
                    "worker %s is lost (exit code %s); %s takes its place", old.pid, old.exitcode, new.pid
                )
