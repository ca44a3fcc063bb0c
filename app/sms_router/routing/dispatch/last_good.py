"""A copy of the last configuration files without mistakes, for a worker that starts while they have some.

Running workers refuse a changed configuration with mistakes and keep the old one. A worker that replaces a
lost one has no old one; without the copy it could not start, and in the end no worker would be left.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sms_router.errors import ConfigurationError
from sms_router.files import write_atomically
from sms_router.routing.dispatch.published import TEMPLATES, unpacked
from sms_router.routing.dispatch.ruleset import FILES, RuleSet, RuleSetReader

log = logging.getLogger("sms_router.reload")


@dataclass(frozen=True, slots=True)
class LastGoodRuleSet:
    """One file in the data directory; ``serve`` deletes that of an earlier run when it starts."""

    path: Path

    @classmethod
    def beside(cls, data_dir: Path, port: int) -> LastGoodRuleSet:
        """Return the copy of the router that listens on a port."""
        return cls(data_dir / f"rules-{port}.json")

    def delete(self) -> None:
        """Delete the file if there is one; the disk may be read-only."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def save(self, folder: Path, unchanged: Callable[[], bool]) -> None:
        """Copy the files of a folder that was read without mistakes; a failure is logged.

        ``unchanged`` returns whether they are still what was read; if not, nothing is copied.
        """
        try:
            paths = [path for name in FILES if (path := folder / name).is_file()]
            paths += [path for path in (folder / TEMPLATES).rglob("*") if path.is_file()]
            texts = {str(path.relative_to(folder)): path.read_bytes().decode("latin-1") for path in paths}
            if unchanged():
                write_atomically(self.path, json.dumps(texts))
        except OSError as error:
            log.warning("the rules cannot be saved for workers that start later: %s", error)

    def names(self) -> frozenset[str]:
        """Return the names of the copied files, without templates."""
        return frozenset(self._texts()) & frozenset(FILES)

    def read(self, reader: RuleSetReader) -> RuleSet | None:
        """Read the copy; None where there is none, or where it has mistakes too."""
        texts = self._texts()
        if not texts:
            return None
        with unpacked({path: text.encode("latin-1") for path, text in texts.items()}) as folder:
            try:
                return replace(reader, folder=folder).read()
            except ConfigurationError:
                return None

    def _texts(self) -> dict[str, str]:
        try:
            texts: dict[str, str] = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        return texts
