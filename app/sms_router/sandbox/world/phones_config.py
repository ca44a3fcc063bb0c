"""Reading ``[[carriers]]`` and ``[[phones]]``: the people's side of the world."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sms_router.sandbox.world.errors import UNDELIVERED
from sms_router.sandbox.world.numbers import is_e164
from sms_router.sandbox.world.toml_table import Table
from sms_router.sandbox.world.world import Carrier, Phone, PhoneState


def read_carriers(root: Table) -> dict[str, Carrier]:
    """Return the carriers by name."""
    carriers = {}
    for row in root.tables("carriers"):
        carrier = Carrier(
            name=row.text("name"),
            reaches_short_codes=row.flag("reaches_short_codes", default=True),
            short_code_error=_error(row, "short_code_error", 30006),
            mms=row.flag("mms", default=True),
            delay=row.seconds("delay", 0.0),
            filters=row.texts("filters"),
            drops=_drops(row),
        )
        carriers[carrier.name] = carrier
        row.finish()
    return carriers


def read_phones(root: Table, carriers: Mapping[str, Carrier]) -> dict[str, Phone]:
    """Return the phones by number."""
    phones = {}
    for row in root.tables("phones"):
        number = row.text("number")
        if not is_e164(number):
            row.refuse("number", f"expected E.164, such as +14155550123, got {number!r}")
        state = row.choice("state", PhoneState, PhoneState.ON)
        phones[number] = Phone(number, read_carrier(row, "carrier", carriers), state)
        row.finish()
    return phones


def read_carrier(row: Table, key: str, carriers: Mapping[str, Carrier]) -> Carrier:
    """Return the carrier that a key names."""
    name = row.text(key)
    if name not in carriers:
        row.refuse(key, f"there is no carrier {name!r}; known: {', '.join(carriers) or 'none'}")
    return carriers.get(name) or Carrier(name)


def _drops(row: Table) -> Mapping[int, float]:
    drops = {}
    for code, share in row.items("drops").items():
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
            row.refuse(f"drops.{code}", f"expected a share from 0 to 1, got {share!r}")
        elif not code.isdigit() or int(code) not in UNDELIVERED:
            row.refuse(f"drops.{code}", f"expected one of {', '.join(map(str, UNDELIVERED))}")
        else:
            drops[int(code)] = float(share)
    if sum(drops.values()) > 1:
        row.refuse("drops", "the shares are more than 1 together")
    return MappingProxyType(drops)


def _error(row: Table, key: str, default: int) -> int:
    code = row.whole(key, default, 30000, 30999)
    if code not in UNDELIVERED:
        row.refuse(key, f"expected one of {', '.join(map(str, UNDELIVERED))}, got {code}")
    return code
