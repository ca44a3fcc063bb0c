"""The texts and the expected replies: for the local router, or from a file for a deployment."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from loadtests.workload.contacts import SHORT_CODE, Contact
from loadtests.workload.texts import BROKEN, EVERYDAY_TEXTS, FALLBACK_REPLY, SLOW_TICKET, Text

_FILE_KEYS = ("to", "senders", "opt_outs", "fallback_reply", "text")
_TEXT_KEYS = ("body", "reply", "media", "weight")


class ScriptError(ValueError):
    """An error in a file of texts; the message has the place and the remedy."""


@dataclass(frozen=True, slots=True)
class Script:
    """The texts that are sent to a router, and what it must answer."""

    texts: tuple[Text, ...]
    """Ordinary texts, each as often as its weight."""
    to: str = SHORT_CODE
    """The number that is texted."""
    senders: tuple[str, ...] | None = None
    """The senders that may reply; None: `Contact.expected_sender`."""
    opt_outs: bool = True
    """Whether contacts also send STOP and START."""
    fallback_reply: str | None = FALLBACK_REPLY
    """The reply of the fallback URL; None if it is unknown, then it is not called first."""
    slow: Text | None = SLOW_TICKET
    broken: Text | None = BROKEN

    def find_sender_fault(self, sender: str | None, contact: Contact) -> str | None:
        """Return what is wrong with the sender of a reply, or None."""
        allowed = (contact.expected_sender,) if self.senders is None else self.senders
        if not allowed or sender in allowed:
            return None
        return f"from {sender}, expected {' or '.join(allowed)}"


LOCAL_SCRIPT = Script(EVERYDAY_TEXTS)
"""For the router that `make load` starts."""


def read_script(path: Path) -> Script:
    """Read a file of texts.

    Raises:
        ScriptError: if the file has an error.

    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScriptError(f"{path} cannot be read: {error}") from error
    _check_keys(document, _FILE_KEYS, str(path))
    tables = document.get("text", [])
    if not isinstance(tables, list) or not tables:
        raise ScriptError(f"{path} has no [[text]]: write one with body and reply")
    texts: list[Text] = []
    for number, table in enumerate(tables, start=1):
        texts += _texts(table, f"{path}, [[text]] {number}")
    return Script(
        texts=tuple(texts),
        to=_text(document, "to", str(path), SHORT_CODE),
        senders=_list(document, "senders", str(path)),
        opt_outs=bool(document.get("opt_outs", False)),
        fallback_reply=_text(document, "fallback_reply", str(path), "") or None,
        slow=None,
        broken=None,
    )


def _texts(table: object, where: str) -> list[Text]:
    """Return a text as often as its weight."""
    if not isinstance(table, dict):
        raise ScriptError(f"{where} must be a table")
    _check_keys(table, _TEXT_KEYS, where)
    body = _text(table, "body", where)
    reply = _text(table, "reply", where, "")
    weight = table.get("weight", 1)
    if not isinstance(weight, int) or not 1 <= weight <= 100:
        raise ScriptError(f"{where}: weight must be a whole number from 1 to 100")
    return [Text(body, body, reply or None, _list(table, "media", where))] * weight


def _check_keys(table: Mapping[str, object], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise ScriptError(f"{where}: unknown key {key}; {advice}")


def _text(table: Mapping[str, object], key: str, where: str, default: str | None = None) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise ScriptError(f"{where}: {key} {'must be a text' if key in table else 'is missing'}")
    return value


def _list(table: Mapping[str, object], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ScriptError(f"{where}: {key} must be a list of texts")
    return tuple(value)
