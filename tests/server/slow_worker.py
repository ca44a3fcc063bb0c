"""A supervisor whose worker takes longer to start than uvicorn waits for its first message.

``python -m tests.server.slow_worker`` logs what becomes of the worker, and ends when it is reported to.
"""

from __future__ import annotations

import logging
import time

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from sms_router.server.supervisor import WorkerSupervisor

LOADS_FOR = 7.0
"""Seconds; uvicorn waits five."""


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Never called."""


def _load() -> ASGIApp:
    time.sleep(LOADS_FOR)
    return application


class SlowToLoad:
    """The configuration of a worker that takes long before it responds to anything."""

    def __reduce__(self) -> tuple[object, ...]:
        return (_load, ())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = uvicorn.Config(
        SlowToLoad(),  # type: ignore[arg-type]
        port=0,
        workers=2,
        lifespan="off",
        log_config=None,
    )
    WorkerSupervisor(config, [config.bind_socket()]).run()
