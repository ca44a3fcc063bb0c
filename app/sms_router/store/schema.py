"""The version of the stored form: of the keys in Redis and of the files in the data directory."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import redis

from sms_router.store.keys import SCHEMA

SCHEMA_VERSION = 1
"""To be raised when another version of the router could not use, or would damage, what this one stores."""

FILE = "schema"
"""In the data directory: the version of everything in it, the embedded Valkey's folder included."""


class SchemaError(Exception):
    """Stored data belongs to another version of the router.

    Args:
        place: where the data is, such as ``.data`` or ``Redis``.
        stored: the version that is stored there.
        remedy: what to do, beside running the version that wrote the data.

    """

    def __init__(self, place: str, stored: str, remedy: str) -> None:
        self.sentence = (
            f"{place} has data of schema {stored}, and this sms-router needs schema {SCHEMA_VERSION}"
        )
        self.remedy = f"run the version of sms-router that wrote it, or {remedy}."
        super().__init__(f"{self.sentence}: {self.remedy}")


def check_data_dir(data_dir: Path, *, create: bool) -> None:
    """Check the version of a data directory; with ``create``, write it into one that has none.

    Raises:
        SchemaError: when the directory belongs to another version.
        OSError: when the directory cannot be read or written.

    """
    file = data_dir / FILE
    stored = file.read_text("utf-8", errors="replace").strip() if file.exists() else ""
    if not stored:  # a new directory, or a start that was killed as it wrote this
        if create:
            data_dir.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{SCHEMA_VERSION}\n")
        return
    _compare(str(data_dir), stored, "set another data_dir in router.toml")


def check_redis(client: redis.Redis) -> None:
    """Check the version of the data in Redis; workers write it where there is none (`Store.check_schema`).

    Raises:
        SchemaError: when the data belongs to another version.
        redis.RedisError: when Redis does not serve.

    """
    stored = cast("bytes | None", client.get(SCHEMA))
    if stored is not None:
        compare_redis(stored)


def compare_redis(stored: bytes) -> None:
    """Compare the version that is stored in Redis with the one of this router.

    Raises:
        SchemaError: when they differ.

    """
    _compare("Redis", stored.decode("utf-8", "replace"), "set another REDIS_URL")


def _compare(place: str, stored: str, remedy: str) -> None:
    if stored != str(SCHEMA_VERSION):
        raise SchemaError(place, stored if stored.isdecimal() else repr(stored[:20]), remedy)
