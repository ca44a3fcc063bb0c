"""Reading and showing faults: the same tables in ``sandbox.toml``, in scenarios and over HTTP."""

from __future__ import annotations

from sms_router.sandbox.world.fault import (
    FaultSet,
    ReceiptFault,
    RestFault,
    RestKind,
    WebhookFault,
    WebhookKind,
)
from sms_router.sandbox.world.toml_table import Table

_MOST = 1_000_000
_LONGEST_LATENESS = 7 * 24 * 3600.0
_ONLY_FOR = {"status": RestKind.STATUS, "seconds": RestKind.SLOW}
"""Keys that mean something for one kind of REST fault only."""


def read_faults(table: Table) -> FaultSet:
    """Return the faults that a table describes; mistakes are added to the table's."""
    faults = FaultSet(
        rest=_rest(table.table("rest")) if table.has("rest") else None,
        webhooks=_webhook(table.table("webhooks")) if table.has("webhooks") else None,
        receipts=_receipt(table.table("receipts")) if table.has("receipts") else None,
    )
    table.know("rest", "webhooks", "receipts")
    table.finish()
    return faults


def shown(faults: FaultSet) -> dict[str, object]:
    """Return what ``read_faults`` would read again."""
    told: dict[str, object] = {}
    if faults.rest:
        told["rest"] = _rest_shown(faults.rest)
    if faults.webhooks:
        told["webhooks"] = {"kind": faults.webhooks.kind.value, **_count_shown(faults.webhooks.count)}
    if faults.receipts:
        fault = faults.receipts
        flags = {"twice": fault.twice, "backwards": fault.backwards, "lost": fault.lost}
        told["receipts"] = {"late": fault.late, **flags, **_count_shown(fault.count)}
    return told


def _rest(table: Table) -> RestFault:
    kind = table.choice("kind", RestKind)
    for key, only in _ONLY_FOR.items():
        if table.has(key) and kind is not only:
            table.refuse(key, f"goes with kind = {only.value!r} only")
    fault = RestFault(
        kind=kind,
        status=table.whole("status", 500, 400, 599),
        seconds=table.seconds("seconds", 1.0),
        path=table.text("path", ""),
        after=table.flag("after", default=False),
        count=_count(table),
    )
    table.finish()
    return fault


def _webhook(table: Table) -> WebhookFault:
    fault = WebhookFault(table.choice("kind", WebhookKind), _count(table))
    table.finish()
    return fault


def _receipt(table: Table) -> ReceiptFault:
    fault = ReceiptFault(
        late=min(table.seconds("late", 0.0), _LONGEST_LATENESS),
        twice=table.flag("twice", default=False),
        backwards=table.flag("backwards", default=False),
        lost=table.flag("lost", default=False),
        count=_count(table),
    )
    table.finish()
    return fault


def _count(table: Table) -> int | None:
    table.know("count")
    return table.whole("count", 1, 1, _MOST) if table.has("count") else None


def _rest_shown(fault: RestFault) -> dict[str, object]:
    told: dict[str, object] = {"kind": fault.kind.value}
    if fault.kind is RestKind.STATUS:
        told["status"] = fault.status
    if fault.kind is RestKind.SLOW:
        told["seconds"] = fault.seconds
    return {**told, "path": fault.path, "after": fault.after, **_count_shown(fault.count)}


def _count_shown(count: int | None) -> dict[str, object]:
    return {} if count is None else {"count": count}
