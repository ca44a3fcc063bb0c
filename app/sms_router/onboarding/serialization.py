"""Checklists as JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import date

from sms_router.onboarding.checklist import Checklist, HistoryAction, HistoryEntry
from sms_router.onboarding.documents import DocumentKind, RecordedDocument
from sms_router.onboarding.steps import OnboardingKind

log = logging.getLogger("sms_router.onboarding")


def dump(checklist: Checklist) -> bytes:
    value = {
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
        "no_calls": checklist.has_no_calls,
        "documents": [
            [document.kind.value, document.day.isoformat(), document.name, document.address]
            for document in checklist.documents
        ],
        "renewal": checklist.renewal.isoformat() if checklist.renewal is not None else None,
        "history": [[entry.at, entry.who, entry.action.value, entry.detail] for entry in checklist.history],
    }
    return json.dumps(value, sort_keys=True).encode()


def load(stored: bytes) -> Checklist:
    """Decode a checklist.

    Raises:
        ValueError: when it is malformed.

    """
    try:
        value = json.loads(stored)
        return Checklist(
            number=str(value["number"]),
            kind=OnboardingKind(value["kind"]),
            country=str(value["country"]),
            service_sid=str(value["service"]),
            added=float(value["added"]),
            since=float(value["since"]),
            done=frozenset(map(str, value["done"])),
            expected=date.fromisoformat(value["expected"]) if value["expected"] else None,
            request_sid=value["request"],
            rejected=value["rejected"],
            has_no_calls=bool(value.get("no_calls", False)),
            documents=tuple(
                RecordedDocument(DocumentKind(kind), date.fromisoformat(day), name, address)
                for kind, day, name, address in value.get("documents", ())
            ),
            renewal=date.fromisoformat(value["renewal"]) if value.get("renewal") else None,
            history=tuple(
                HistoryEntry(float(at), who, HistoryAction(action), detail)
                for at, who, action, detail in value["history"]
            ),
        )
    except (TypeError, KeyError) as error:
        raise ValueError("the checklist is malformed") from error


def load_all(stored: Mapping[bytes, bytes]) -> tuple[Checklist, ...]:
    """Decode stored checklists in the order of their numbers; malformed ones are logged and left out."""
    checklists = []
    for number, value in sorted(stored.items()):
        try:
            checklists.append(load(value))
        except ValueError:
            log.error("a stored checklist cannot be read: %s", number.decode("utf-8", "replace"))
    return tuple(checklists)


def load_times(stored: Mapping[bytes, bytes]) -> dict[str, float]:
    """Decode when numbers first received a message; malformed times are logged and left out."""
    times = {}
    for number, at in stored.items():
        try:
            times[number.decode("utf-8", "replace")] = float(at)
        except ValueError:
            log.error("a stored time cannot be read: %s", number.decode("utf-8", "replace"))
    return times
