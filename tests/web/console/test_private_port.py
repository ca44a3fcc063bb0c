"""A private port for the console, the metrics and the probes; the public port serves webhooks only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sms_router.sandbox.hosting import free_port
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import webhook
from tests.web.console.client import PASSWORD, ConsoleClient

PRIVATE = ("/console", "/console/login", "/metrics", "/healthz", "/readyz")


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
async def test_the_public_listener_serves_webhooks_only(start_router: StartRouter, workers: str) -> None:
    port = free_port()
    environment = {"CONSOLE_PASSWORD": PASSWORD, "PRIVATE_PORT": str(port), "WORKERS": workers}
    router = start_router(environment=environment)
    private = replace(router, port=port)
    forged = {"Host": f"127.0.0.1:{port}", "X-Forwarded-Port": str(port)}
    for path in PRIVATE:
        assert (await router.fetch(path)).status == 404
        assert (await router.send("GET", path, b"", forged)).status == 404
        assert (await private.fetch(path)).status in {200, 303}
    assert "We are open" in (await router.deliver(webhook("HOURS"))).text
    assert (await router.send("POST", "/sms", b"", {})).status == 415
    with ConsoleClient(private.url) as operator:
        assert "secure" not in operator.log_in().headers["set-cookie"].lower()
        assert operator.get("/console/messages").status_code == 200
        proxied = operator.send("/console/login", {"password": PASSWORD}, X_Forwarded_Proto="https")
        assert "secure" in proxied.headers["set-cookie"].lower()
    assert f"Console: http://127.0.0.1:{port}/console" in router.log


async def test_the_private_port_must_differ_from_the_public_one(start_router: StartRouter) -> None:
    port = str(free_port())
    with pytest.raises(AssertionError, match="private_port must differ from port"):
        start_router(environment={"PORT": port, "PRIVATE_PORT": port})
