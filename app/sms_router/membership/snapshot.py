"""One reading of a Messaging Service: its senders, its settings, and its numbers' own URLs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from sys import intern
from typing import TYPE_CHECKING, Any, TypeVar

from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.senders.pool import Pool

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FORMAT = 1
"""Raised when a stored snapshot can no longer be read by the version before."""

_Value = TypeVar("_Value", bound="DataclassInstance")


class SnapshotError(ValueError):
    """Stored bytes that are not a snapshot of this format; the text says why."""


@dataclass(frozen=True, slots=True)
class ServiceProperties:
    """What the Service itself is set to (facts 6.1)."""

    friendly_name: str = ""
    inbound_request_url: str | None = None
    """None: inbound messages are dropped unlogged (facts 3)."""
    inbound_method: str = "POST"
    fallback_url: str | None = None
    fallback_method: str = "POST"
    status_callback: str | None = None
    use_inbound_webhook_on_number: bool = False
    """True: each number's own URLs replace the Service's, and the router sees nothing (facts 3)."""
    sticky_sender: bool = False
    area_code_geomatch: bool = False


@dataclass(frozen=True, slots=True)
class NumberUrls:
    """The URLs of a number or short code, which the Service hides."""

    friendly_name: str = ""
    sms_url: str | None = None
    sms_method: str = "POST"
    sms_fallback_url: str | None = None
    sms_fallback_method: str = "POST"
    sms_application_sid: str | None = None
    """When it is set, Twilio calls the application's URLs and none of the number's (facts 3)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A Service as it was at one moment; replaced, never changed."""

    account_sid: str
    service_sid: str
    senders: tuple[Sender, ...]
    settings: ServiceProperties
    number_urls: Mapping[str, NumberUrls]
    """By the sid of the number or short code."""
    read_at: float
    """Seconds since the epoch when Twilio last confirmed it."""
    version: int
    """Greater for every change; the same while readings find nothing new."""

    def pool(self) -> Pool:
        """Return the senders, indexed; takes some 200 ms for ten thousand."""
        return Pool(self.service_sid, self.version, self.senders)

    def same_content(self, other: Snapshot) -> bool:
        """Tell whether two readings found the same, whenever they were made."""
        return replace(self, read_at=other.read_at, version=other.version) == other

    def confirmed(self, read_at: float) -> Snapshot:
        """Return the same snapshot, read again at this time and found unchanged."""
        return replace(self, read_at=read_at)

    def to_bytes(self) -> bytes:
        """Return the snapshot as JSON."""
        written = {
            "format": FORMAT,
            "account_sid": self.account_sid,
            "service_sid": self.service_sid,
            "senders": [_written(sender) for sender in self.senders],
            "settings": asdict(self.settings),
            "number_urls": {sid: asdict(urls) for sid, urls in self.number_urls.items()},
            "read_at": self.read_at,
            "version": self.version,
        }
        return json.dumps(written, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, stored: bytes) -> Snapshot:
        """Read what ``to_bytes`` wrote; fields of a later version are left out.

        Raises:
            SnapshotError: when the bytes are of another format, or no snapshot at all.

        """
        try:
            read = json.loads(stored)
        except ValueError as error:
            raise SnapshotError("the stored snapshot is not JSON") from error
        if not isinstance(read, dict) or read.get("format") != FORMAT:
            raise SnapshotError(f"the stored snapshot is not of format {FORMAT}")
        try:
            return cls._read(read)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SnapshotError(f"the stored snapshot lacks something: {error!r}") from error

    @classmethod
    def _read(cls, read: dict[str, Any]) -> Snapshot:
        return cls(
            account_sid=str(read["account_sid"]),
            service_sid=str(read["service_sid"]),
            senders=tuple(_sender(each) for each in read["senders"]),
            settings=_known(ServiceProperties, read["settings"]),
            number_urls={sid: _urls(urls) for sid, urls in read["number_urls"].items()},
            read_at=float(read["read_at"]),
            version=int(read["version"]),
        )


def _written(sender: Sender) -> dict[str, object]:
    return {
        "sid": sender.sid,
        "address": sender.address,
        "kind": sender.kind.value,
        "country": sender.country,
        "capabilities": [flag.name for flag in Capability if flag in sender.capabilities],
        "live": sender.live,
    }


def _sender(read: dict[str, Any]) -> Sender:
    return Sender(
        sid=read["sid"],
        address=read["address"],
        kind=SenderKind(read["kind"]),
        country=intern(read["country"]) if read["country"] else None,
        capabilities=capabilities_of(read["capabilities"]),
        live=read["live"],
    )


def capabilities_of(names: list[str] | None) -> Capability:
    """Turn Twilio's list (``SMS``, ``MMS``, ``Voice``) into what matters here."""
    capabilities = Capability.NONE
    for name in names or ():
        capabilities |= Capability.__members__.get(name.upper(), Capability.NONE)
    return capabilities


def own_urls(number: Any) -> NumberUrls:
    """Turn Twilio's record of a number or short code into what matters here."""
    return _urls(
        {
            "friendly_name": number.friendly_name or "",
            "sms_url": number.sms_url or None,
            "sms_method": number.sms_method or "POST",
            "sms_fallback_url": number.sms_fallback_url or None,
            "sms_fallback_method": number.sms_fallback_method or "POST",
            "sms_application_sid": getattr(number, "sms_application_sid", None) or None,
        }
    )


def _urls(read: Mapping[str, Any]) -> NumberUrls:
    """Make a number's URLs of texts that are kept once: thousands of numbers have the same ones."""
    kept = {name: intern(str(value)) if value else value for name, value in read.items()}
    return _known(NumberUrls, kept)


def _known(kind: type[_Value], read: dict[str, Any]) -> _Value:
    """Make a value of the fields that it knows."""
    names = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in read.items() if name in names})
