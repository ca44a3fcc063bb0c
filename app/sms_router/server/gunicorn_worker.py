"""A worker class for gunicorn, with the bounds that ``sms-router serve`` sets on connections.

gunicorn is not a dependency: only ``gunicorn --worker-class sms_router.server.gunicorn_worker.RouterWorker``
imports this module.
"""

from __future__ import annotations

from typing import Any

from uvicorn.workers import UvicornWorker

from sms_router.server.http_protocol import BoundedHttpProtocol


class RouterWorker(UvicornWorker):
    """uvicorn's worker with the router's HTTP protocol; idle connections follow ``--keep-alive``."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012 (as in the base class)
        "loop": "uvloop",
        "http": BoundedHttpProtocol,
        "ws": "none",
        "lifespan": "on",
        "server_header": False,
        "proxy_headers": False,
        "limit_concurrency": 4096,
    }
