"""Loads the Lua files of this folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha1
from importlib.resources import files

from sms_router.store.connection import Argument

_INCLUDE = re.compile(r'^ *--- @include "(\w+)"\n', re.MULTILINE)
_HEADER = re.compile(r"^local ([\w,\s]+?) *=\s+unpack\((KEYS|ARGV)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One script, with the files that it includes.

    The names of its keys and arguments are those of its first statements, ``local a, b = unpack(KEYS)``
    and ``local c, d = unpack(ARGV)``.
    """

    name: str
    source: bytes = field(repr=False)
    digest: str
    """By which Redis knows it."""
    keys: tuple[str, ...]
    arguments: tuple[str, ...]
    """Where their number varies, those before the rest."""
    by_digest: tuple[bytes, bytes, bytes] = field(repr=False)
    """The command that runs it where Redis has it loaded, up to the keys."""
    by_source: tuple[bytes, bytes, bytes] = field(repr=False)
    """The command that runs it where Redis may not have it, up to the keys."""


def load_scripts() -> dict[str, Script]:
    """Return every script by its name."""
    names = (file.name for file in files(__package__).iterdir())
    return {
        name: _load(name)
        for name, _, suffix in (each.rpartition(".") for each in sorted(names))
        if suffix == "lua"
    }


def _load(name: str) -> Script:
    text = _read(f"{name}.lua")
    header = {of: tuple(re.split(r",\s*", names)) for names, of in _HEADER.findall(text)}
    source = text.encode()
    digest = sha1(source, usedforsecurity=False).hexdigest()
    keys = header["KEYS"]
    count = b"%d" % len(keys)
    return Script(
        name,
        source,
        digest,
        keys,
        header.get("ARGV", ()),
        by_digest=(b"EVALSHA", digest.encode(), count),
        by_source=(b"EVAL", source, count),
    )


def _read(path: str) -> str:
    """Return the text of a file, with those that it includes."""
    text = files(__package__).joinpath(path).read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda found: _read(f"include/{found[1]}.lua"), text)


SCRIPTS = load_scripts()
"""Every script by its name."""

Call = tuple[Script, tuple[bytes, ...], tuple[Argument, ...]]
"""A script, its keys, and its arguments."""
