"""Reading ``[[steps]]``: one thing that happens, and what must come of it."""

from __future__ import annotations

from collections.abc import Sequence

from sms_router.sandbox.inbound.session import SessionOutcome
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.scenarios.scenario import (
    Action,
    Become,
    Break,
    Check,
    Look,
    Misses,
    ScenarioStep,
    Shows,
    Wait,
)
from sms_router.sandbox.world.faults_config import read_faults
from sms_router.sandbox.world.numbers import Number, NumberKind, is_e164
from sms_router.sandbox.world.toml_table import Table
from sms_router.sandbox.world.world import PhoneState, World

LONGEST_WITHIN = 60.0

_ACTIONS = (("texts", "media"), ("wait",), ("faults",), ("state", "carrier"))
"""Keys that make something happen; a step has those of one line at most."""

_OF_TEXTS = ("to", "webhook")
"""Keys that say nothing where nobody texts."""


def read_step(row: Table, world: World) -> ScenarioStep:
    """Return one step; mistakes are added to the table's."""
    used = [keys for keys in _ACTIONS if any(row.has(key) for key in keys)]
    if len(used) > 1:
        row.refuse(used[1][0], f"a step does one thing: {used[0][0]} is another")
    phone = _phone(row, world)
    for key in _OF_TEXTS:
        if row.has(key) and "texts" not in (used[0] if used else ()):
            row.refuse(key, "goes with texts or media: nothing is texted here")
    action = _action(row, phone, used[0][0] if used else "", world)
    if not phone and (
        isinstance(action, IncomingText | Become) or row.has("shows") or row.has("undelivered")
    ):
        row.refuse("phone", "is missing: whose phone is it?")
    step = ScenarioStep(row.text("title", _title(action, phone)), action, _check(row, phone))
    row.know("to", "texts", "media", "wait", "faults", "state", "carrier", "shows", "undelivered", "alerts")
    row.know("webhook")
    row.finish()
    return step


def _phone(row: Table, world: World) -> str:
    phone = row.text("phone", "")
    if phone and not is_e164(phone):
        row.refuse("phone", f"expected E.164, such as +14155550123, got {phone!r}")
    if phone in (number.address for number in world.numbers):
        row.refuse("phone", f"{phone} is one of the account's numbers, not somebody's phone")
    return phone


def _action(row: Table, phone: str, kind: str, world: World) -> Action:
    if kind == "texts":
        return IncomingText(phone, _recipient(row, world), row.text("texts", ""), row.texts("media"))
    if kind == "wait":
        return Wait(row.seconds("wait", 0.0))
    if kind == "faults":
        table = row.table("faults")
        return Break(read_faults(table) if row.items("faults") else None)
    if kind == "state":
        return _become(row, phone, world)
    return Look()


def _become(row: Table, phone: str, world: World) -> Become:
    state = row.choice("state", PhoneState) if row.has("state") else None
    if not row.has("carrier"):
        return Become(phone, state, None)
    name = row.text("carrier")
    if name not in world.carriers:
        row.refuse("carrier", f"there is no carrier {name!r}; known: {', '.join(world.carriers)}")
    return Become(phone, state, world.carriers.get(name))


def _recipient(row: Table, world: World) -> Number:
    """Return the number that is texted; by itself the first short code, else the first number."""
    ours = {number.address: number for number in world.numbers}
    codes = [number for number in world.numbers if number.kind is NumberKind.SHORT_CODE]
    usual = (codes or list(world.numbers))[0]
    address = row.text("to", usual.address)
    if address not in ours:
        row.refuse("to", f"{address} is not one of the account's numbers: {', '.join(ours)}")
    return ours.get(address, usual)


def _check(row: Table, phone: str) -> Check:
    outcome = row.choice("webhook", SessionOutcome) if row.has("webhook") else None
    within = row.seconds("within", 5.0)
    if within > LONGEST_WITHIN:
        row.refuse("within", f"expected {LONGEST_WITHIN:g} seconds at most, got {within:g}")
    return Check(
        phone=phone,
        shows=_shows(row) if row.has("shows") else None,
        undelivered=_undelivered(row) if row.has("undelivered") else None,
        alerts=_codes(row) if row.has("alerts") else None,
        outcome=outcome,
        within=within,
    )


def _shows(row: Table) -> tuple[Shows, ...]:
    """Read a list of texts and tables, or how many messages there must be."""
    value = row.value("shows")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return (Shows(),) * value
    if not isinstance(value, list):
        row.refuse("shows", f"expected a list of texts and tables, or a number, got {value!r}")
        return ()
    return tuple(
        Shows(equals=item) if isinstance(item, str) else _shown(row.nested("shows", index, item))
        for index, item in enumerate(value)
    )


def _shown(table: Table) -> Shows:
    contains = table.value("contains")
    shows = Shows(
        sender=_optional(table, "from"),
        equals=_optional(table, "equals"),
        contains=(contains,) if isinstance(contains, str) else table.texts("contains"),
        media=table.texts("media") if table.has("media") else None,
        status=_optional(table, "status"),
    )
    table.know("from", "equals", "contains", "media", "status")
    table.finish()
    return shows


def _undelivered(row: Table) -> tuple[Misses, ...]:
    return tuple(_missed(table) for table in row.tables("undelivered"))


def _missed(table: Table) -> Misses:
    if not table.has("error"):
        table.refuse("error", "is missing: with which code did it end?")
    misses = Misses(table.whole("error", 10000, 10000, 99999), _optional(table, "from"))
    table.know("from")
    table.finish()
    return misses


def _optional(table: Table, key: str) -> str | None:
    return table.text(key) if table.has(key) else None


def _codes(row: Table) -> tuple[int, ...]:
    value = row.value("alerts")
    if isinstance(value, list) and all(isinstance(code, int) for code in value):
        return tuple(value)
    row.refuse("alerts", f"expected a list of the debugger's codes, got {value!r}")
    return ()


def _title(action: Action, phone: str) -> str:
    """Say what happens, in one line."""
    if isinstance(action, IncomingText):
        pictures = _counted(action.media, "picture")
        return f"{phone} texts {action.number.address}: {' + '.join(filter(None, (action.body, pictures)))}"
    if isinstance(action, Wait):
        return f"{action.seconds:g} s pass"
    if isinstance(action, Break):
        return "faults are switched on" if action.faults else "faults are switched off"
    if isinstance(action, Become):
        state = f"is {action.state.value}" if action.state else ""
        carrier = f"is with {action.carrier.name}" if action.carrier else ""
        return f"{phone} {' and '.join(filter(None, (state, carrier)))}"
    return f"{phone or 'Twilio'} is looked at"


def _counted(things: Sequence[str], name: str) -> str:
    return f"{len(things)} {name}{'s' if len(things) > 1 else ''}" if things else ""
