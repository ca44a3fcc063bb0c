"""What differs between two snapshots of a Service: pure, for people and for the check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sms_router.membership.snapshot import NumberUrls, Snapshot
from sms_router.senders.models import Capability, Sender

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

THERE, NOT_THERE = "in the Service", "not in the Service"


@dataclass(frozen=True, slots=True)
class SnapshotChange:
    """One thing that has changed."""

    subject: str
    """The Service's sid, or a sender's address and sid."""
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.subject}: {self.what}: {self.before} -> {self.after}"


def diff_snapshots(before: Snapshot, after: Snapshot) -> tuple[SnapshotChange, ...]:
    """Return all differences but those of age and version: the Service's first, then each sender's."""
    found = [*_changed(before.service_sid, before.settings, after.settings)]
    old, new = ({sender.sid: sender for sender in each.senders} for each in (before, after))
    for sid in sorted(old.keys() | new.keys()):
        found += _sender(old.get(sid), new.get(sid))
        urls = before.number_urls.get(sid), after.number_urls.get(sid)
        if sid in old and sid in new:
            found += _changed(_named(new[sid]), urls[0] or NumberUrls(), urls[1] or NumberUrls())
    return tuple(found)


def _sender(old: Sender | None, new: Sender | None) -> Iterator[SnapshotChange]:
    one = new or old
    assert one is not None, "a sid is in one of the two"
    if old is None or new is None:
        places = (THERE, NOT_THERE) if new is None else (NOT_THERE, THERE)
        yield SnapshotChange(_named(one), f"the {one.kind.value}", *places)
    else:
        yield from _changed(_named(new), old, new)


def _changed(subject: str, old: DataclassInstance, new: DataclassInstance) -> Iterator[SnapshotChange]:
    for field in fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before != after:
            yield SnapshotChange(subject, field.name.replace("_", " "), shown(before), shown(after))


def shown(value: object) -> str:
    """Return a value as people read it."""
    if isinstance(value, Capability):
        return sends(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value not in (None, "") else "none"


def sends(capabilities: Capability | None) -> str:
    """Return what a number can send, as in ``SMS+MMS``; empty for nothing, or when it is not known."""
    return "+".join(flag.name or "" for flag in Capability if flag & (capabilities or Capability.NONE))


def _named(sender: Sender) -> str:
    return f"{sender.address} ({sender.sid})"


def named_changes(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """Say in one line what an update changes: ``sms url: none -> https://...``."""
    return ", ".join(
        f"{name.replace('_', ' ')}: {shown(before.get(name))} -> {shown(value)}"
        for name, value in after.items()
    )
