"""Messages a page at a time: where one ends and the next begins, among the streams of all buckets."""

from __future__ import annotations

import re
from typing import NamedTuple

from sms_router.routing.history.record import MessageRecord

_POSITION = re.compile(r"([0-9]{1,15})-([0-9]{1,15})-([0-9]{1,4})")


class Cursor(NamedTuple):
    """Where a page of messages ends; the newest comes first, and of one moment the lowest bucket."""

    milliseconds: int
    sequence: int
    bucket: int

    def __str__(self) -> str:
        """Write it as the link to the next page does."""
        return f"{self.milliseconds}-{self.sequence}-{self.bucket}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Read what was written down; None for anything else."""
        found = _POSITION.fullmatch(text)
        return cls(*map(int, found.groups())) if found is not None else None

    def end(self, bucket: int) -> str:
        """Return from where a bucket's stream is read backwards."""
        entry = f"{self.milliseconds}-{self.sequence}"
        return entry if bucket > self.bucket else f"({entry}"


class RecordPage(NamedTuple):
    """Some messages, the newest first."""

    episodes: list[MessageRecord]
    older: Cursor | None
    """Where the next page begins; None when this is the last."""
