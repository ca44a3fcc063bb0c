"""Published rules: versions of ``keywords.toml`` and its templates in Redis, which every replica uses.

Without a published version the files of each replica count. Going back to an older version, or to the files,
is a new version too, so that the history is one line. A copy on disk is used while Redis is away.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import redis
import redis.asyncio

from sms_router.files import write_atomically
from sms_router.store.keys import RULES_CURRENT, RULES_DESCRIPTIONS, RULES_DOCUMENTS, RULES_WORKERS
from sms_router.store.redis_py import run_script
from sms_router.store.scripts import publish_rules

log = logging.getLogger("sms_router.reload")

KEYWORDS = "keywords.toml"
TEMPLATES = "templates"

MAX_BYTES = 2_000_000
"""Of all files of a version; more would be slow to load on every replica."""

MAX_VERSIONS = 100
"""Versions that are kept; older ones are deleted."""

MAX_NAMED_STEPS = 5
"""Of those that another worker has or lacks."""

WORKER_TTL = 20.0
"""Seconds after which a worker that has not reported its version has ended."""


class PublishError(Exception):
    """A version cannot be stored; the text gives the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class PublishedRules:
    """One version of the rules."""

    number: int
    author: str
    at: float
    """Seconds since the epoch, by the clock of Redis."""
    note: str
    files: Mapping[str, str]
    """Texts by path; none where this version says that the files of each replica count."""

    @property
    def uses_files(self) -> bool:
        return not self.files

    @property
    def label(self) -> str:
        """What stands for the file in messages to people."""
        return f"version {self.number} of {KEYWORDS}"

    @property
    def digest(self) -> str:
        return _digest(_encode_files(self.files))

    @property
    def identity(self) -> str:
        """The number and the digest, as `RULES_CURRENT` holds them."""
        return f"{self.number} {self.digest}"

    def unpacked(self) -> AbstractContextManager[Path]:
        return unpacked({path: text.encode() for path, text in self.files.items()})

    def __str__(self) -> str:
        content = "the files of each replica" if self.uses_files else f"version {self.number}"
        at = datetime.fromtimestamp(self.at, UTC)
        return f"{content}, published by {self.author} on {at:%Y-%m-%d %H:%M} UTC" + (
            f": {self.note}" if self.note else ""
        )


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """The rules that one worker uses."""

    worker: str
    identity: str
    """Of the version; empty for the worker's files."""
    at: float
    """When it was reported, in seconds since the epoch."""
    failure: str = ""
    """Why the current version is not used; empty where it is."""
    names: str = ""
    """A digest of the names of all rules and steps; empty where it is not known."""
    steps: tuple[str, ...] = ()
    files: str = ""
    """A digest of the configuration files."""

    @property
    def description(self) -> str:
        return f"version {self.identity.split()[0]}" if self.identity else "its files"


@contextmanager
def unpacked(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Yield a temporary folder with files, by their paths in it."""
    with TemporaryDirectory(prefix="rules-") as name:
        for path, content in files.items():
            file = Path(name, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        yield Path(name)


def read_files(folder: Path) -> dict[str, str]:
    """Return what a version of a configuration folder consists of.

    Raises:
        PublishError: when there is nothing to publish, or too much, or a file is not UTF-8.

    """
    paths = [folder / KEYWORDS, *sorted(path for path in (folder / TEMPLATES).rglob("*") if path.is_file())]
    files: dict[str, str] = {}
    for path in paths:
        try:
            files[path.relative_to(folder).as_posix()] = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise PublishError(f"{path}: is not UTF-8: {error.reason}") from error
        except OSError as error:
            raise PublishError(f"{path}: cannot be read: {error.strerror}") from error
    size = len(_encode_files(files))
    if size > MAX_BYTES:
        raise PublishError(
            f"{folder / KEYWORDS} and its templates have {size} bytes; {MAX_BYTES} can be published"
        )
    return files


def publish(
    client: redis.Redis,
    current: PublishedRules | None,
    files: Mapping[str, str],
    author: str,
    note: str,
    now: float,
) -> PublishedRules:
    """Store files as the current version; they have been checked.

    Raises:
        PublishError: when another version than ``current`` is the current one now.

    """
    document = _encode_files(files)
    description = json.dumps({"author": author, "at": now, "note": note}).encode()
    call = publish_rules(
        expected=current.identity if current is not None else "",
        digest=_digest(document),
        description=description,
        document=document,
        max_versions=MAX_VERSIONS,
    )
    number = int(run_script(client, call))
    if not number:
        raise PublishError("Another version was published meanwhile: see sms-router keywords history")
    return PublishedRules(number, author, now, note, files)


def read_current(client: redis.Redis) -> PublishedRules | None:
    """Return the version in use; None where none was published."""
    identity = cast("bytes | None", client.get(RULES_CURRENT))
    return read_version(client, int(identity.split()[0])) if identity else None


def read_version(client: redis.Redis, number: int) -> PublishedRules | None:
    description = cast("bytes | None", client.hget(RULES_DESCRIPTIONS, str(number)))
    document = cast("bytes | None", client.hget(RULES_DOCUMENTS, str(number)))
    return _decode(number, description, document)


def read_history(client: redis.Redis) -> list[PublishedRules]:
    """Return the versions that are kept, the newest first."""
    descriptions = cast("dict[bytes, bytes]", client.hgetall(RULES_DESCRIPTIONS))
    documents = cast("dict[bytes, bytes]", client.hgetall(RULES_DOCUMENTS))
    versions = [_decode(int(field), text, documents.get(field)) for field, text in descriptions.items()]
    kept = [version for version in versions if version is not None]
    return sorted(kept, key=lambda version: -version.number)


def read_workers(client: redis.Redis, now: float) -> list[WorkerRules]:
    """Return what each running worker uses."""
    return decode_workers(cast("dict[bytes, bytes]", client.hgetall(RULES_WORKERS)), now)


async def fetch_current(client: redis.asyncio.Redis, identity: bytes) -> PublishedRules | None:
    """Return the version that `RULES_CURRENT` names; None where it is not kept."""
    number = int(identity.split()[0])
    description = await cast("Any", client.hget(RULES_DESCRIPTIONS, str(number)))
    return _decode(number, description, await cast("Any", client.hget(RULES_DOCUMENTS, str(number))))


def encode_worker(rules: WorkerRules) -> bytes:
    """Encode what a worker uses, without its name."""
    fields = asdict(rules)
    del fields["worker"]
    return json.dumps(fields).encode()


def decode_workers(fields: Mapping[bytes, bytes], now: float) -> list[WorkerRules]:
    """Return what each worker uses that has reported lately, by name."""
    workers = []
    for name, text in sorted(fields.items()):
        try:
            value = json.loads(text)
            rules = WorkerRules(
                name.decode(),
                value["identity"],
                float(value["at"]),
                value["failure"],
                str(value.get("names", "")),
                tuple(value.get("steps", ())),
                str(value.get("files", "")),
            )
        except (ValueError, KeyError, TypeError):
            continue
        if abs(now - rules.at) < WORKER_TTL:
            workers.append(rules)
    return workers


def describe_differences(workers: Sequence[WorkerRules], identity: str) -> list[str]:
    """Return a sentence for each worker that uses other rules than ``identity``."""
    return [
        f"the worker {worker.worker} uses {worker.description}"
        + (f": {worker.failure}" if worker.failure else "")
        for worker in workers
        if worker.identity != identity
    ]


def describe_other_names(workers: Sequence[WorkerRules], own: WorkerRules) -> list[str]:
    """Return a sentence for each worker with other rules or steps, as while a new version is rolled out."""
    sentences = []
    for worker in workers:
        is_same = worker.names == own.names and worker.files in ("", own.files)
        if is_same or not worker.names or worker.identity != own.identity:
            continue
        lacks = ", ".join(sorted({*own.steps} - {*worker.steps})[:MAX_NAMED_STEPS])
        knows = ", ".join(sorted({*worker.steps} - {*own.steps})[:MAX_NAMED_STEPS])
        steps = [f"without the steps {lacks}"] * bool(lacks) + [f"with the steps {knows}"] * bool(knows)
        what = " and ".join(steps) or (
            "other texts in its files" if worker.names == own.names else "other keywords"
        )
        sentences.append(f"the worker {worker.worker} has other rules than this one: {what}")
    return sentences


class PublishedRulesFile:
    """The copy of the last version that was used, on disk, for a start while Redis is away."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "published-rules.json"

    def read(self) -> PublishedRules | None:
        try:
            value = json.loads(self._path.read_text(encoding="utf-8"))
            return _version(int(value["number"]), value, value["files"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, version: PublishedRules) -> None:
        """Keep a version; a failure is logged."""
        try:
            write_atomically(self._path, json.dumps(asdict(version)))
        except OSError as error:
            log.warning("the published rules cannot be saved for a start without Redis: %s", error)


def _decode(number: int, description: bytes | None, document: bytes | None) -> PublishedRules | None:
    try:
        return _version(number, json.loads(description or b""), json.loads(document or b""))
    except (ValueError, KeyError, TypeError):
        return None


def _version(number: int, about: dict[str, Any], files: Mapping[str, str]) -> PublishedRules:
    return PublishedRules(number, str(about["author"]), float(about["at"]), str(about["note"]), dict(files))


def _encode_files(files: Mapping[str, str]) -> bytes:
    return json.dumps(dict(sorted(files.items())), ensure_ascii=False, separators=(",", ":")).encode()


def _digest(document: bytes) -> str:
    return sha256(document).hexdigest()[:16]
