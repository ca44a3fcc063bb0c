"""The Lua scripts: each is one atomic step in the life of a message."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """One script; Redis knows it by the SHA-1 of its source."""

    name: str
    source: bytes
    digest: bytes
    keys: bytes
    """How many keys it takes, as Redis wants to read it."""


def _source(name: str) -> bytes:
    return files(__package__).joinpath(f"{name}.lua").read_bytes()


def _script(name: str, source: bytes, keys: int) -> Script:
    digest = sha1(source, usedforsecurity=False).hexdigest().encode()
    return Script(name, source, digest, str(keys).encode())


def _load(name: str, keys: int, functions: str = "") -> Script:
    """Return a script, with the functions of another file before it that it calls."""
    before = _source(functions) if functions else b""
    return _script(name, before + _source(name), keys)


OPEN = _load("open", keys=3)
COMMIT = _load("commit", keys=4, functions="counting")
COMMIT_COUNTED = replace(COMMIT, keys=b"5")
"""The same with a count of replies."""
PACE = _load("pace", keys=1, functions="counting")
RELEASE = _load("release", keys=3)
RENEW = _load("renew", keys=1)
NOTE = _load("note", keys=2)
RECEIPT = _load("receipt", keys=6)
CONSENT = _load("consent", keys=4)
PERSON = _load("person", keys=1)
COOKIES = _load("cookies", keys=1)
CLOCK = _load("clock", keys=1)
HEARD = _load("heard", keys=1)
OUTBOX_PUT = _load("outbox_put", keys=3)
OUTBOX_TAKE = _load("outbox_take", keys=1)
OUTBOX_CLAIM = _load("outbox_claim", keys=4)
OUTBOX_MARK = _load("outbox_mark", keys=4)
OUTBOX_SETTLE = _load("outbox_settle", keys=3)
OUTBOX_POSTPONE = _load("outbox_postpone", keys=2)
OUTBOX_HAND_OVER = _load("outbox_hand_over", keys=2)
REPLAY_ASK = _load("replay_ask", keys=3)
BODY_RETENTION = _load("body_retention", keys=2)
SESSION_END = _load("session_end", keys=1)
TELL = _load("tell", keys=1)


def _in_turn(script: Script, keys: int) -> Script:
    """Return the script as it is where people's messages take turns, with ``keys`` in all."""
    return _script(f"{script.name}_in_turn", _source("turns") + script.source, keys)


OPEN_ANSWERING = _script(
    "open_answering", _source("counting") + _source("answer_at_once") + OPEN.source, keys=4
)
OPEN_IN_TURN = _in_turn(OPEN, keys=4)
COMMIT_IN_TURN = _in_turn(COMMIT, keys=6)
OUTBOX_CLAIM_IN_TURN = _in_turn(OUTBOX_CLAIM, keys=5)
OUTBOX_PUT_IN_TURN = _in_turn(OUTBOX_PUT, keys=4)

_TURNED = (OPEN_IN_TURN, COMMIT_IN_TURN, OUTBOX_CLAIM_IN_TURN, OUTBOX_PUT_IN_TURN)
_MESSAGES = (
    OPEN,
    OPEN_ANSWERING,
    COMMIT,
    PACE,
    RELEASE,
    RENEW,
    NOTE,
    RECEIPT,
    CONSENT,
    PERSON,
    COOKIES,
    HEARD,
    CLOCK,
)
_OUTBOX = (
    OUTBOX_PUT,
    OUTBOX_TAKE,
    OUTBOX_CLAIM,
    OUTBOX_MARK,
    OUTBOX_SETTLE,
    OUTBOX_POSTPONE,
    OUTBOX_HAND_OVER,
    REPLAY_ASK,
)

ALL = (*_MESSAGES, *_OUTBOX, *_TURNED, BODY_RETENTION, SESSION_END, TELL)

BY_NAME = {script.name: script for script in ALL}
