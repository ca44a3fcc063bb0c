"""Loads the Lua files of this folder.

A file's first statements name its keys and arguments: ``local a, b = unpack(KEYS)`` and ``local c, d =
unpack(ARGV)``. A line ``--- @include "name"`` stands for the text of ``include/name.lua``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1
from importlib.resources import files

from sms_router.store.connection import Argument

_INCLUDE = re.compile(r'^ *--- @include "(\w+)"\n', re.MULTILINE)
_HEADER = re.compile(r"^local ([\w,\s]+?)\s*=\s*unpack\((KEYS|ARGV)\b", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """One script; its file, with those that it includes, is read when it is used."""

    name: str

    @cached_property
    def source(self) -> bytes:
        return _read(f"{self.name}.lua").encode()

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """The names of its arguments; where their number varies, of those before the rest."""
        return self._header.get("ARGV", ())

    @cached_property
    def by_digest(self) -> tuple[bytes, bytes, bytes]:
        """The command that runs it where Redis has it loaded, up to the keys."""
        return b"EVALSHA", sha1(self.source, usedforsecurity=False).hexdigest().encode(), self._key_count

    @cached_property
    def by_source(self) -> tuple[bytes, bytes, bytes]:
        """The command that runs it where Redis may not have it, up to the keys."""
        return b"EVAL", self.source, self._key_count

    @cached_property
    def _header(self) -> dict[str, tuple[str, ...]]:
        return {of: tuple(re.split(r",\s*", names)) for names, of in _HEADER.findall(self.source.decode())}

    @cached_property
    def _key_count(self) -> bytes:
        return b"%d" % len(self._header["KEYS"])


Call = tuple[Script, tuple[bytes, ...], tuple[Argument, ...]]
"""A script, its keys, and its arguments."""


def _read(path: str) -> str:
    """Return the text of a file, with those that it includes."""
    text = files(__package__).joinpath(path).read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda match: _read(f"include/{match[1]}.lua"), text)


SCRIPTS = {
    name: Script(name)
    for name, _, kind in sorted(file.name.partition(".") for file in files(__package__).iterdir())
    if kind == "lua"
}
"""Every script by its name."""
