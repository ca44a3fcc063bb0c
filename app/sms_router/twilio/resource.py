"""Single resources of Twilio's REST API, on what the official client builds its own on.

``client.api`` and ``client.messaging`` import all that Twilio offers: over a hundred modules and 9 MB in
each worker, which reads a Service and sends messages. Requests, pages and exceptions are the client's.
Import this module in a thread: the client and ``requests`` come along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twilio.base.domain import Domain
from twilio.base.page import Page
from twilio.base.version import Version
from twilio.rest import Client


class Record:
    """What Twilio says of one thing, by the names of its API; None for what it leaves out."""

    __slots__ = ("_told",)

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = told

    def __getattr__(self, name: str) -> Any:
        """Return one value."""
        return self._told.get(name)


class _Records(Page):
    """One page of a list."""

    def get_instance(self, payload: Mapping[str, Any]) -> Record:
        return Record(payload)


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource, or a list of them, by its path; every call blocks, and raises as the client's do."""

    version: Version
    path: str

    def child(self, name: str) -> Resource:
        """Return what lies under it."""
        return Resource(self.version, f"{self.path}/{name}")

    def fetch(self) -> Record:
        """Return what Twilio says of it."""
        return Record(self.version.fetch("GET", self.path))

    def page(self, *, page_size: int) -> Page:
        """Return a list's first page, which leads to the others."""
        return _Records(self.version, self.version.page("GET", self.path, params={"PageSize": page_size}))

    def create(self, values: Mapping[str, object]) -> Record:
        """Add to a list; the values have the API's names, and None is not sent."""
        return Record(self.version.create("POST", self.path, data=dict(values)))


def service(client: Client, sid: str) -> Resource:
    """Return a Messaging Service."""
    return Resource(Version(Domain(client, "https://messaging.twilio.com"), "v1"), f"/Services/{sid}")


def account(client: Client, sid: str) -> Resource:
    """Return an account."""
    return Resource(Version(Domain(client, "https://api.twilio.com"), "2010-04-01"), f"/Accounts/{sid}")


def numbers(client: Client) -> Resource:
    """Return the API of phone numbers, ports among them."""
    return Resource(Version(Domain(client, "https://numbers.twilio.com"), "v1"), "")
