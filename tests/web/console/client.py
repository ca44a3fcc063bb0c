"""An HTTP client of the console, with its cookie and CSRF token."""

from __future__ import annotations

import re
from typing import Self

import requests

PASSWORD = "correct horse battery"

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')


class ConsoleClient:
    """Sends the session cookie itself: it is for https only, and these tests use http."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookie = ""
        self._http = requests.Session()
        self._http.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, cookie: str = "") -> requests.Response:
        headers = self._headers({})
        if cookie:
            headers["Cookie"] += f"; {cookie}"
        return self._http.get(self.url + path, headers=headers, allow_redirects=False, timeout=30)

    def follow(self, response: requests.Response) -> requests.Response:
        """Open the page to which a form redirects."""
        return self.get(
            response.headers["location"], response.headers.get("set-cookie", "").partition(";")[0]
        )

    def send(self, path: str, form: dict[str, str], **headers: str) -> requests.Response:
        """Send a form as it is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._http.post(
            self.url + path, data=form, headers=self._headers(named), allow_redirects=False, timeout=30
        )

    def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> requests.Response:
        """Send a form as a page of the console would."""
        return self.send(path, {"csrf": self.csrf, **(form or {})}, **headers)

    def log_in(self, password: str = PASSWORD, **form: str) -> requests.Response:
        response = self.send("/console/login", {"password": password, **form})
        self.cookie = response.headers.get("set-cookie", "").partition(";")[0]
        return response

    @property
    def csrf(self) -> str:
        found = _CSRF.search(self.get("/console/people").text)
        return found[1] if found else ""

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return {**more, "Cookie": self.cookie} if self.cookie else more
