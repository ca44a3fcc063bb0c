"""The keys and arguments of each script: as its Lua file names them, and as its function passes them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sms_router.store import keys, scripts
from sms_router.store.scripts import SCRIPTS, Call, outbox

PACKAGE = Path(scripts.__file__).parents[2]
BUCKET = keys.ALL_BUCKETS[7]

RECEIVED_AS = {
    "bucket": BUCKET,
    "sent": (),
    "commands": (),
    "raised": ("event", "event_request", "event_retention_ms"),
    "fields": {},
    "hash_key": "hash",
    "counter": (b"reply_count", "max_replies", "quiet_ms", "weight", "text"),
}
"""What a function is called with for a parameter; its own name for any other."""

PASSED_AS: dict[str, object] = {
    "given": b"",
    "enqueued_at": b"",
    "member": "scope contact",
    "message_prefix": BUCKET.message(""),
    "receipt_prefix": keys.bucket_of("contact").receipt("reference/"),
}
"""What a function makes of its parameters; for the names of a Lua file."""

KEYS = {
    keys.SUSPECTED.decode(): "suspected",
    "sms-router:schema": "schema",
    "sms-router:{cordons}": "hash",
    "sms-router:{console}:sessions": "sessions",
    "sms-router:pool:{service_sid}": "snapshot",
    "sms-router:pool:{service_sid}:version": "snapshot_version",
    "sms-router:pool:{service_sid}:changes": "change_count",
    "sms-router:{rates}:last-used": "last_used",
    "sms-router:{rules}:current": "current_version",
    "sms-router:{rules}:descriptions": "descriptions",
    "sms-router:{rules}:documents": "documents",
    "sms-router:{rates}:usage": "usage",
    "sms-router:{onboarding}": "checklists",
    "sms-router:{onboarding}:texted": "texted",
    "sms-router:{onboarding}:version": "checklists_version",
}
"""The names of keys that do not name themselves."""


def named(function: Callable[..., Call], *extended: Call, in_conversation: bool = False) -> Call:
    """Call a function with the name of each parameter as its value."""
    parameters = list(inspect.signature(function).parameters)[len(extended) :]
    values = {name: RECEIVED_AS.get(name, name) for name in parameters}
    if "in_conversation" in values:
        values["in_conversation"] = in_conversation
    return function(*extended, **values)


SPECIAL: dict[str, Call] = {
    "claim_in_conversation": named(scripts.claim, in_conversation=True),
    "claim_prepared": named(scripts.claim_prepared, named(scripts.claim)),
    "commit": named(scripts.with_request, named(scripts.commit)),
    "commit_in_conversation": named(
        scripts.update_conversation, named(scripts.with_request, named(scripts.commit))
    ),
    "outbox_claim_in_conversation": named(outbox.claim, in_conversation=True),
    "outbox_enqueue_in_conversation": named(scripts.update_conversation, named(outbox.enqueue)),
    "event_claim": named(outbox.claim_event),
    "event_finish": named(outbox.finish_event),
}


def call_of(name: str) -> Call:
    """Return the call of the function that is named like a script."""
    if name in SPECIAL:
        return SPECIAL[name]
    return named(getattr(scripts, name, None) or getattr(outbox, name.removeprefix("outbox_")))


def header(name: str, of: str) -> list[str]:
    """Return the names that a Lua file gives its keys or its arguments."""
    text = (PACKAGE / f"store/scripts/{name}.lua").read_text("utf-8")
    found = re.findall(rf"^local ([^=]+?)\s*=\s*unpack\({of}[,)]", text, re.MULTILINE)
    assert len(found) <= 1, f"{name}: one line names {of}"
    return re.split(r",\s+", found[0]) if found else []


def name_of_key(key: bytes | str) -> str:
    text = key.decode() if isinstance(key, bytes) else key
    in_bucket = re.match(r"sms-router:\{\d+\}:([a-z-]+)", text)
    return in_bucket[1].replace("-", "_") if in_bucket else KEYS.get(text, text)


def name_of_argument(value: Any) -> object:
    channels = {keys.ANSWERED_CHANNEL, keys.CONSENTS_CHANNEL, keys.POOLS_CHANNEL, keys.RULES_CHANNEL}
    if value in channels:
        return "channel"
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_script_has_a_function_that_passes_what_the_lua_file_names(name: str) -> None:
    script, passed_keys, arguments = call_of(name)
    assert script is SCRIPTS[name]
    assert [name_of_key(key) for key in passed_keys] == header(name, "KEYS")
    names = header(name, "ARGV")
    expected = [PASSED_AS.get(each, each) for each in names]
    if name == "record_receipt":  # of the message that was answered
        expected[names.index("reference")] = "message"
    assert list(map(name_of_argument, arguments)) == list(map(name_of_argument, expected))


def test_a_commit_of_the_spool_has_its_request_and_no_limit_of_replies() -> None:
    script, _, arguments = named(scripts.spooled, named(scripts.commit))
    passed = dict(zip(header(script.name, "ARGV"), arguments, strict=True))
    assert (passed["request"], passed["received"], passed["given"]) == ("request", "received", "given")
    assert {passed[name] for name in ("max_replies", "quiet_ms", "weight", "text")} == {b""}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_reads_its_keys_and_arguments_by_name(name: str) -> None:
    text = (PACKAGE / f"store/scripts/{name}.lua").read_text("utf-8")
    assert not re.search(r"\b(KEYS\[|ARGV\[\d)", text)


def test_what_a_script_includes_is_part_of_it() -> None:
    for script in SCRIPTS.values():
        assert b"@include" not in script.source
    assert b"local function count_reply" in SCRIPTS["commit"].source


def test_there_is_no_lua_elsewhere() -> None:
    folder = PACKAGE / "store" / "scripts"
    files = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".lua"} and path.is_file()]
    assert len(files) > 300
    for path in files:
        if path.suffix == ".lua":
            assert path.parent in {folder, folder / "include"}
        else:
            assert not re.search(r"redis\.p?call", path.read_text("utf-8")), path


def test_there_is_no_key_elsewhere() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path != PACKAGE / "store" / "keys.py":
            assert not re.search(r"""["']sms-router:[^ ]""", path.read_text("utf-8")), path
    for path in PACKAGE.rglob("*.lua"):
        assert "sms-router:" not in path.read_text("utf-8"), path
