"""Every key in Redis, in one place.

All keys of one person carry the same hash tag, so that one script may touch them on a Redis
Cluster, and so do the streams that list what happened: people are spread over a fixed number of
buckets, and each bucket has its own journal and its own dead letters in the same slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

PREFIX = "sms-router"

BUCKETS = 64
"""Fixed for the life of the data: another number would look for people in the wrong place."""

ANSWERED_CHANNEL = f"{PREFIX}:answered"
"""Where the reference of a message is published when its answer is committed and a twin waits."""

CONSENTS_CHANNEL = f"{PREFIX}:consents"
"""Where it is published that somebody has opted out or come back: ``stop`` or ``start``, scope, person."""

PROBE = f"{PREFIX}:probe".encode()
"""Written to learn whether a single server takes writes; it expires by itself."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The keys that people of one bucket share."""

    tag: str
    journal: bytes
    dead_letters: bytes
    opt_outs: bytes
    """Everybody of the bucket who has opted out, by the time of it: ``scope person``."""
    outbox: bytes
    """What leaves by REST, by when somebody should look at it next."""
    probe: bytes
    """Written to learn whether the bucket's node takes writes; it expires by itself."""
    bodies_removed: bytes
    """Up to which entry of the journal texts have been taken out."""

    def message(self, reference: str) -> bytes:
        """Key of one message's record; ``reference`` is ``AccountSid/MessageSid``."""
        return f"{self.tag}:message:{reference}".encode()

    def receipt(self, reference: str) -> bytes:
        """Key of one outgoing message's delivery status."""
        return f"{self.tag}:receipt:{reference}".encode()

    def person(self, scope: str, person: str) -> bytes:
        """Key of what is known of a person; ``scope`` is a Service's sid, or a number outside Services."""
        return f"{self.tag}:person:{scope}:{person}".encode()

    def last_delivery(self, scope: str, person: str) -> bytes:
        """Key of when a person last got something and from whom: what older reports are weighed against."""
        return f"{self.tag}:heard:{scope}:{person}".encode()

    def conversation(self, scope: str, person: str) -> bytes:
        """Key of a person's conversation, and of whose turn it is among their messages."""
        return f"{self.tag}:talk:{scope}:{person}".encode()

    def pace(self, scope: str, person: str) -> bytes:
        """Key of how many replies a person has had lately."""
        return f"{self.tag}:pace:{scope}:{person}".encode()

    def cookies(self, person: str, number: str) -> bytes:
        """Key of what an upstream's cookies say about a person and a number of ours."""
        return f"{self.tag}:cookies:{number}:{person}".encode()


def ended_session(digest: str) -> bytes:
    """Key that is there when a session of the console was ended before its time."""
    return f"{bucket_of(digest).tag}:session-ended:{digest}".encode()


def _bucket(number: int) -> Bucket:
    tag = f"{PREFIX}:{{{number}}}"
    names = ("journal", "dead-letters", "opt-outs", "outbox", "probe", "bodies-removed")
    return Bucket(tag, *(f"{tag}:{name}".encode() for name in names))


ALL_BUCKETS = tuple(_bucket(number) for number in range(BUCKETS))


@lru_cache(maxsize=4096)
def bucket_of(person: str) -> Bucket:
    """Return the bucket that holds a person's keys; ``person`` is the address they text from."""
    return ALL_BUCKETS[crc32(person.encode("utf-8", "surrogatepass")) % BUCKETS]
