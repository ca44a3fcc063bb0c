"""Checklists as JSON, and back."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import date

from sms_router.onboarding.checklist import Action, Checklist, HistoryEntry
from sms_router.onboarding.process import Kind

log = logging.getLogger("sms_router.onboarding")


def dump(checklist: Checklist) -> bytes:
    """Write a checklist."""
    told = {
        "number": checklist.number,
        "kind": checklist.kind.value,
        "country": checklist.country,
        "service": checklist.service_sid,
        "added": checklist.added,
        "since": checklist.since,
        "done": sorted(checklist.done),
        "expected": checklist.expected.isoformat() if checklist.expected is not None else None,
        "request": checklist.request_sid,
        "rejected": checklist.rejected,
        "history": [[each.at, each.who, each.action.value, each.detail] for each in checklist.history],
    }
    return json.dumps(told, sort_keys=True).encode()


def load(stored: bytes) -> Checklist:
    """Read a checklist.

    Raises:
        ValueError: when it is not one.

    """
    try:
        told = json.loads(stored)
        return Checklist(
            number=str(told["number"]),
            kind=Kind(told["kind"]),
            country=str(told["country"]),
            service_sid=str(told["service"]),
            added=float(told["added"]),
            since=float(told["since"]),
            done=frozenset(map(str, told["done"])),
            expected=date.fromisoformat(told["expected"]) if told["expected"] else None,
            request_sid=told["request"],
            rejected=told["rejected"],
            history=tuple(
                HistoryEntry(float(at), who, Action(did), detail) for at, who, did, detail in told["history"]
            ),
        )
    except (TypeError, KeyError) as error:
        raise ValueError("this is no checklist") from error


def read_all(stored: Mapping[bytes, bytes]) -> tuple[Checklist, ...]:
    """Read what is stored, by number; what is no checklist is left out, and told each time it is read."""
    checklists = []
    for number, told in sorted(stored.items()):
        try:
            checklists.append(load(told))
        except ValueError:
            log.error("a stored checklist cannot be read: %s", number.decode("utf-8", "replace"))
    return tuple(checklists)


def read_moments(stored: Mapping[bytes, bytes]) -> dict[str, float]:
    """Read when numbers were first texted."""
    moments = {}
    for number, at in stored.items():
        try:
            moments[number.decode("utf-8", "replace")] = float(at)
        except ValueError:
            log.error("a stored moment cannot be read: %s", number.decode("utf-8", "replace"))
    return moments
