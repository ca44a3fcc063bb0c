"""A snapshot of a Messaging Service: its senders, its settings, and the URLs of its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from sys import intern
from typing import TYPE_CHECKING, Any, TypeVar

from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.senders.pool import Pool
from sms_router.twilio.webhook_url import NumberUrls

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FORMAT = 1
"""Increased when the release before can no longer decode a stored snapshot."""

_Value = TypeVar("_Value", bound="DataclassInstance")


class SnapshotError(ValueError):
    """Stored bytes that are not a snapshot of this format; the text names the fault."""


@dataclass(frozen=True, slots=True)
class ServiceProperties:
    """The settings of the Service itself."""

    friendly_name: str = ""
    inbound_request_url: str | None = None
    """None: Twilio drops incoming messages without a log entry."""
    inbound_method: str = "POST"
    fallback_url: str | None = None
    fallback_method: str = "POST"
    status_callback: str | None = None
    use_inbound_webhook_on_number: bool = False
    """True: each number's own URLs replace the Service's, and the router receives no messages."""
    sticky_sender: bool = False
    area_code_geomatch: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A Service at one moment."""

    account_sid: str
    service_sid: str
    senders: tuple[Sender, ...]
    settings: ServiceProperties
    number_urls: Mapping[str, NumberUrls]
    """By the sid of the number or short code."""
    read_at: float
    """Seconds since the epoch when Twilio last confirmed it."""
    version: int
    """Increases with every change; readings without a change keep it."""
    account_numbers: tuple[str, ...] = ()
    """The numbers and short codes of the account that are not in the Service."""

    def pool(self) -> Pool:
        """Return the indexed Sender Pool; takes some 200 ms for 10,000 senders."""
        return Pool(self.service_sid, self.version, self.senders)

    def same_content(self, other: Snapshot) -> bool:
        """Return whether two snapshots are equal except for their age and version."""
        return replace(self, read_at=other.read_at, version=other.version) == other

    def confirmed(self, read_at: float) -> Snapshot:
        return replace(self, read_at=read_at)

    def to_bytes(self) -> bytes:
        value = {
            "format": FORMAT,
            "account_sid": self.account_sid,
            "service_sid": self.service_sid,
            "senders": [_encode_sender(sender) for sender in self.senders],
            "settings": asdict(self.settings),
            "number_urls": {sid: asdict(urls) for sid, urls in self.number_urls.items()},
            "read_at": self.read_at,
            "version": self.version,
            "account_numbers": self.account_numbers,
        }
        return json.dumps(value, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, stored: bytes) -> Snapshot:
        """Decode what `to_bytes` returns; unknown fields of a later release are ignored.

        Raises:
            SnapshotError: when the bytes are malformed or of another format.

        """
        try:
            value = json.loads(stored)
        except ValueError as error:
            raise SnapshotError("the stored snapshot is not JSON") from error
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise SnapshotError(f"the stored snapshot is not of format {FORMAT}")
        try:
            return cls._decode(value)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SnapshotError(f"the stored snapshot is incomplete: {error!r}") from error

    @classmethod
    def _decode(cls, value: dict[str, Any]) -> Snapshot:
        # Each string once: a sender's sid is also the key of its URLs, and thousands have the same URLs.
        strings: dict[str, str] = {}
        return cls(
            account_sid=str(value["account_sid"]),
            service_sid=str(value["service_sid"]),
            senders=tuple(_decode_sender(_share(sender, strings)) for sender in value["senders"]),
            settings=_from_known_fields(ServiceProperties, value["settings"]),
            number_urls={
                strings.setdefault(sid, sid): _from_known_fields(NumberUrls, _share(urls, strings))
                for sid, urls in value["number_urls"].items()
            },
            read_at=float(value["read_at"]),
            version=int(value["version"]),
            account_numbers=tuple(map(str, value.get("account_numbers", ()))),
        )


def decode_snapshot(stored: bytes) -> tuple[Snapshot, Pool]:
    """Decode and index a stored snapshot; blocks. Raises `SnapshotError`."""
    snapshot = Snapshot.from_bytes(stored)
    return snapshot, snapshot.pool()


def _encode_sender(sender: Sender) -> dict[str, object]:
    return {
        "sid": sender.sid,
        "address": sender.address,
        "kind": sender.kind.value,
        "country": sender.country,
        "capabilities": [flag.name for flag in Capability if flag in sender.capabilities],
        "live": sender.live,
    }


def _decode_sender(value: dict[str, Any]) -> Sender:
    return Sender(
        sid=value["sid"],
        address=value["address"],
        kind=SenderKind(value["kind"]),
        country=value["country"] or None,
        capabilities=parse_capabilities(value["capabilities"]),
        live=value["live"],
    )


def parse_capabilities(names: list[str] | None) -> Capability:
    """Parse Twilio's list (``SMS``, ``MMS``, ``Voice``); names other than SMS and MMS are ignored."""
    capabilities = Capability.NONE
    for name in names or ():
        capabilities |= Capability.__members__.get(name.upper(), Capability.NONE)
    return capabilities


def from_record(type_: type[_Value], record: Any) -> _Value:
    """Return a value of the fields that a record of Twilio's API has; the others have their defaults."""
    values = {field.name: getattr(record, field.name) for field in fields(type_)}
    # Interned, because thousands of numbers have the same URLs.
    return type_(
        **{
            name: intern(value) if isinstance(value, str) else value
            for name, value in values.items()
            if value
        }
    )


def _share(values: dict[str, Any], strings: dict[str, str]) -> dict[str, Any]:
    """Replace each string by the equal one of ``strings``, which gets the new ones."""
    return {
        name: strings.setdefault(value, value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def _from_known_fields(type_: type[_Value], values: dict[str, Any]) -> _Value:
    names = {field.name for field in fields(type_)}
    return type_(**{name: value for name, value in values.items() if name in names})
