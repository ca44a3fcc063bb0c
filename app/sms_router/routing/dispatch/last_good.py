"""The files of the last rulebook that was right, for a worker that starts while those of the folder are not.

Workers that run refuse a changed configuration and go on with the old one. One that takes the place of a
worker that was lost has no old one: without this it could not start, and nobody would be left in the end.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkstemp

from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.ruleset import FILES, TEMPLATES, RuleSet, RuleSetReader

log = logging.getLogger("sms_router.reload")


class LastGoodRuleSet:
    """One file beside the data; what ``serve`` finds there at its own start is of another run."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self._path = path

    @classmethod
    def beside(cls, data_dir: Path, port: int) -> LastGoodRuleSet:
        """Return that of the router which listens on a port."""
        return cls(data_dir / f"rules-{port}.json")

    def forget(self) -> None:
        """Remove it, where there is one; the disk may be there to read only."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def keep(self, folder: Path, unchanged: Callable[[], bool]) -> None:
        """Keep the files of a folder that were read and are right; a disk that does not take them is told.

        ``unchanged`` says whether they are still what was read; where they are not, nothing is kept.
        """
        try:
            files = [path for name in FILES if (path := folder / name).is_file()]
            files += [path for path in (folder / TEMPLATES).rglob("*") if path.is_file()]
            texts = {str(path.relative_to(folder)): path.read_bytes().decode("latin-1") for path in files}
            if unchanged():
                self._write(json.dumps(texts))
        except OSError as error:
            log.warning("the rules cannot be kept for workers that start later: %s", error)

    def _write(self, content: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = mkstemp(prefix=f"{self._path.name}.", dir=self._path.parent)
        new = Path(name)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(content)
            new.rename(self._path)
        except OSError:
            new.unlink(missing_ok=True)
            raise

    def names(self) -> frozenset[str]:
        """Return the files that it has, but for templates."""
        return frozenset(self._texts()) & frozenset(FILES)

    def read(self, reader: RuleSetReader) -> RuleSet | None:
        """Read what was kept; None when nothing was, or nothing that is still right."""
        texts = self._texts()
        if not texts:
            return None
        with _unpacked(texts) as folder:
            try:
                return replace(reader, folder=folder).read()
            except ConfigurationError:
                return None

    def _texts(self) -> dict[str, str]:
        try:
            texts: dict[str, str] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return texts


@contextmanager
def _unpacked(texts: dict[str, str]) -> Iterator[Path]:
    with TemporaryDirectory(prefix="rules-") as name:
        for path, text in texts.items():
            file = Path(name, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("latin-1"))
        yield Path(name)
