"""Loads the Lua files of this folder.

A file's first statements name its keys and arguments: ``local a, b = unpack(KEYS)`` and ``local c, d =
unpack(ARGV)``. A line ``--- @include "name"`` stands for the text of ``include/name.lua``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha1
from importlib.resources import files

from sms_router.store.connection import Argument

_INCLUDE = re.compile(r'^ *--- @include "(\w+)"\n', re.MULTILINE)
_HEADER = re.compile(r"^local ([\w,\s]+?)\s*=\s*unpack\((KEYS|ARGV)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One script, with the files that it includes."""

    name: str
    source: bytes = field(repr=False)
    digest: str
    """The SHA-1 of its source, for EVALSHA."""
    arguments: tuple[str, ...]
    """The names of its arguments; where their number varies, of those before the rest."""
    by_digest: tuple[bytes, bytes, bytes] = field(repr=False)
    """The command that runs it where Redis has it loaded, up to the keys."""
    by_source: tuple[bytes, bytes, bytes] = field(repr=False)
    """The command that runs it where Redis may not have it, up to the keys."""


Call = tuple[Script, tuple[bytes, ...], tuple[Argument, ...]]
"""A script, its keys, and its arguments."""


def _load(name: str) -> Script:
    text = _read(f"{name}.lua")
    header = {of: tuple(re.split(r",\s*", names)) for names, of in _HEADER.findall(text)}
    count = b"%d" % len(header["KEYS"])
    source = text.encode()
    digest = sha1(source, usedforsecurity=False).hexdigest()
    by_digest, by_source = (b"EVALSHA", digest.encode(), count), (b"EVAL", source, count)
    return Script(name, source, digest, header.get("ARGV", ()), by_digest, by_source)


def _read(path: str) -> str:
    """Return the text of a file, with those that it includes."""
    text = files(__package__).joinpath(path).read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda match: _read(f"include/{match[1]}.lua"), text)


SCRIPTS = {
    file.name.removesuffix(".lua"): _load(file.name.removesuffix(".lua"))
    for file in sorted(files(__package__).iterdir(), key=lambda file: file.name)
    if file.name.endswith(".lua")
}
"""Every script by its name."""
