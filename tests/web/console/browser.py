"""A real browser, driven by the WebDriver protocol: no more of it than these tests need."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from sms_router.sandbox.hosting import free_port

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "" if CHROMIUM and DRIVER else "no browser is here: apt-get install chromium chromium-driver"

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")


@dataclass(frozen=True, slots=True)
class Browser:
    """One window."""

    http: requests.Session
    url: str
    """Of the driver's session."""

    def open(self, url: str) -> None:
        self._post("url", {"url": url})

    @property
    def title(self) -> str:
        return str(self._get("title"))

    @property
    def address(self) -> str:
        return str(self._get("url"))

    @property
    def text(self) -> str:
        """The visible text."""
        return str(self._get(f"element/{self._find('css selector', 'body')}/text"))

    def write(self, selector: str, text: str) -> None:
        self._post(f"element/{self._find('css selector', selector)}/value", {"text": text})

    def press(self, selector: str) -> None:
        self._leave_by(self._find("css selector", selector))

    def follow(self, link: str) -> None:
        self._leave_by(self._find("partial link text", link))

    def _leave_by(self, element: str) -> None:
        """Click, and wait until this page is gone and the next one is there."""
        self.run("window.left = false")
        self._post(f"element/{element}/click", {})
        arrived = "return window.left === undefined && document.readyState === 'complete'"
        deadline = time.monotonic() + 30
        while not self.run(arrived):
            assert time.monotonic() < deadline, "the next page did not come"
            time.sleep(0.02)

    def submit(self, action: str, fields: Mapping[str, str]) -> None:
        """Fill in a form of the page and send it."""
        script = """const [action, fields] = arguments
            const form = document.querySelector(`form[method=post][action="${action}"]`)
            for (const name in fields) form.elements[name].value = fields[name]
            form.id = "submitted" """
        self.run(script, action, fields)
        self.press("#submitted button")

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page; of a promise, return its result."""
        return self._post("execute/sync", {"script": script, "args": arguments})

    def resize(self, width: int, *, dark: bool = False) -> None:
        """Show pages as on a screen of this width; a window itself cannot be as narrow as a phone."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 700}
        self._command("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._command("Emulation.setEmulatedMedia", {"features": [scheme]})

    def picture(self, file: Path) -> None:
        whole_page = {"captureBeyondViewport": True}
        file.write_bytes(base64.b64decode(self._command("Page.captureScreenshot", whole_page)["data"]))

    def _command(self, name: str, parameters: dict[str, Any]) -> Any:
        """Run a command of the browser's own protocol."""
        return self._post("goog/cdp/execute", {"cmd": name, "params": parameters})

    def _find(self, using: str, value: str) -> str:
        return str(self._post("element", {"using": using, "value": value})[_ELEMENT])

    def _get(self, path: str) -> Any:
        return _value(self.http.get(f"{self.url}/{path}", timeout=60))

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return _value(self.http.post(f"{self.url}/{path}", json=body, timeout=60))


@contextlib.contextmanager
def browsing(*more: str) -> Iterator[Browser]:
    """Open a window of a browser with an empty profile; its socket needs a short path."""
    assert CHROMIUM is not None
    assert DRIVER is not None
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="browser-") as folder,
        subprocess.Popen(
            [DRIVER, f"--port={port}", "--silent"],
            env={**os.environ, "HOME": folder, "TMPDIR": folder},
        ) as driver,
        requests.Session() as http,
    ):
        try:
            http.trust_env = False
            url = f"http://127.0.0.1:{port}"
            _wait_for(http, url)
            options = {"binary": CHROMIUM, "args": [*_ARGUMENTS, *more, f"--user-data-dir={folder}/profile"]}
            wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
            session = _value(http.post(f"{url}/session", json=wanted, timeout=60))
            browser = Browser(http, f"{url}/session/{session['sessionId']}")
            try:
                yield browser
            finally:
                http.delete(browser.url, timeout=60).close()
        finally:
            driver.terminate()


def _wait_for(http: requests.Session, url: str) -> None:
    for _ in range(500):
        with contextlib.suppress(requests.ConnectionError):
            http.get(f"{url}/status", timeout=5).close()
            return
        time.sleep(0.02)
    raise AssertionError("the browser's driver did not start")


def _value(response: requests.Response) -> Any:
    value = response.json()["value"]
    assert response.ok, value
    return value
