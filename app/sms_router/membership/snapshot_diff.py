"""The differences between two snapshots of a Service; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sms_router.membership.snapshot import Snapshot
from sms_router.senders.models import Capability, Sender
from sms_router.twilio.webhook_url import NumberUrls

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MEMBER, NOT_MEMBER = "in the Service", "not in the Service"


@dataclass(frozen=True, slots=True)
class SnapshotChange:
    """One difference."""

    subject: str
    """The Service's sid, or a sender's address and sid."""
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.what}: {self.before} -> {self.after}"


def diff_snapshots(before: Snapshot, after: Snapshot) -> tuple[SnapshotChange, ...]:
    """Return the differences of content: the Service's first, then each sender's."""
    changes = [*_diff_fields(before.service_sid, before.settings, after.settings)]
    old, new = ({sender.sid: sender for sender in snapshot.senders} for snapshot in (before, after))
    for sid in sorted(old.keys() | new.keys()):
        changes += _diff_sender(old.get(sid), new.get(sid))
        urls = before.number_urls.get(sid), after.number_urls.get(sid)
        if sid in old and sid in new:
            changes += _diff_fields(_name(new[sid]), urls[0] or NumberUrls(), urls[1] or NumberUrls())
    return tuple(changes)


def _diff_sender(old: Sender | None, new: Sender | None) -> Iterator[SnapshotChange]:
    sender = new or old
    assert sender is not None
    if old is None or new is None:
        values = (MEMBER, NOT_MEMBER) if new is None else (NOT_MEMBER, MEMBER)
        yield SnapshotChange(_name(sender), f"the {sender.kind.value}", *values)
    else:
        yield from _diff_fields(_name(new), old, new)


def _diff_fields(subject: str, old: DataclassInstance, new: DataclassInstance) -> Iterator[SnapshotChange]:
    for field in fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before != after:
            yield SnapshotChange(
                subject, field.name.replace("_", " "), format_value(before), format_value(after)
            )


def format_value(value: object) -> str:
    """Return a setting's value for operators: ``yes``, ``no``, ``none``, or the value as text."""
    if isinstance(value, Capability):
        return format_capabilities(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value not in (None, "") else "none"


def format_capabilities(capabilities: Capability | None) -> str:
    """Return them like ``SMS+MMS``; empty for none, and when they are unknown."""
    return "+".join(flag.name or "" for flag in Capability if flag & (capabilities or Capability.NONE))


def _name(sender: Sender) -> str:
    return f"{sender.address} ({sender.sid})"


def describe_changes(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """Return an update in one line: ``sms url: none -> https://...``."""
    return ", ".join(
        f"{name.replace('_', ' ')}: {format_value(before.get(name))} -> {format_value(value)}"
        for name, value in after.items()
    )
