"""Every key and channel in Redis, in one place.

All keys of one contact carry the same hash tag, so that one script may touch them on a Redis
Cluster, and so do the streams that list what happened: contacts are spread over a fixed number of
buckets, and each bucket has its own journal and its own dead letters in the same slot.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from zlib import crc32

_PREFIX = "sms-router"

BUCKETS = 64
"""Fixed for the life of the data: with another number, contacts would be looked up in the wrong place."""

ANSWERED_CHANNEL = f"{_PREFIX}:answered"
"""The reference of each message whose answer is committed while another request waits for it."""

CONSENTS_CHANNEL = f"{_PREFIX}:consents"
"""Changes of the opt-out list and of its evidence: ``stop``, ``start``, ``note`` or ``forget``, the time in
milliseconds, scope, contact; where there is one, the id of an entry of the ledger, and the entry as JSON.
Or the word ``restore``: Redis has lost opt-outs, and every worker writes back those that it knows."""

ERASURES_CHANNEL = f"{_PREFIX}:erasures"
"""The tag of each bucket from which a contact's data was erased."""

POOLS_CHANNEL = f"{_PREFIX}:pools"
"""The sid of each Service of which something was stored or changed."""

RULES_CHANNEL = f"{_PREFIX}:rules"
"""The number of each version of the rules that is published."""

RULES_CURRENT = f"{_PREFIX}:{{rules}}:current".encode()
"""The version of the rules in use: its number and digest; missing where none was published."""

RULES_DESCRIPTIONS = f"{_PREFIX}:{{rules}}:descriptions".encode()
"""Who published each version, when and why, by its number."""

RULES_DOCUMENTS = f"{_PREFIX}:{{rules}}:documents".encode()
"""The files of each version, by its number."""

TEST_CLOCK = f"{_PREFIX}:test-clock".encode()
"""The list that scripts read in place of TIME in the tests of a team: seconds and microseconds."""

RULES_WORKERS = f"{_PREFIX}:{{rules}}:workers".encode()
"""The version that each worker uses, by its name."""

AUDIT_LOG = f"{_PREFIX}:audit-log".encode()
"""The stream of what operators have changed."""

PROBE = f"{_PREFIX}:probe".encode()
"""Written to find out whether a single server accepts writes; it expires by itself."""

CONSOLE_SESSIONS = f"{_PREFIX}:{{console}}:sessions".encode()
"""Hash by digest of the console's sessions: when it expires, and unless it was ended when it began, from
which address and with which browser."""

CORDONS = f"{_PREFIX}:{{cordons}}".encode()
"""Senders out of use, by sid."""

CORDONS_VERSION = f"{_PREFIX}:{{cordons}}:version".encode()
"""How often the cordons were changed; missing where Redis has lost them."""

SUSPECTED = f"{_PREFIX}:{{suspected}}".encode()
"""Contacts whose texts may be meant as an opt-out, by ``scope contact``: time, message."""

SENDERS_LAST_USED = f"{_PREFIX}:{{rates}}:last-used".encode()
"""Senders by when they were last used."""

SENDER_USAGE = f"{_PREFIX}:{{rates}}:usage".encode()
"""What each sender has sent: until when it is busy with it, and the segments of its last day."""

FAILURE_REPORTS = f"{_PREFIX}:{{failures}}:reports".encode()
"""The stream of what status callbacks say of each sender; an entry has a worker's counts of a second."""

CHECKLISTS = f"{_PREFIX}:{{onboarding}}".encode()
"""The checklists of numbers that are not live yet, by number."""

CHECKLISTS_VERSION = f"{_PREFIX}:{{onboarding}}:version".encode()
"""How often the checklists, or `TEXTED`, were changed; missing where Redis has lost them."""

PORT_WATCH = f"{_PREFIX}:{{onboarding}}:watch".encode()
"""Set for the seconds in which one worker reads the port-in requests."""

ERASURES_PENDING = f"{_PREFIX}:{{erasures}}:pending".encode()
"""Messages to be erased at Twilio, by when it is tried next: the id of a receipt, mode, account, sid, and the
time of the first try."""

ERASURES_LOCK = f"{_PREFIX}:{{erasures}}:lock".encode()
"""Set while one router erases what is due."""

ERASURE_RECEIPTS = f"{_PREFIX}:{{erasures}}:receipts".encode()
"""The ids of erasure receipts, by when they were written."""

RECONCILE_LOCK = f"{_PREFIX}:{{reconcile}}:lock".encode()
"""Set while one router compares Twilio's message log with the journal."""

RECONCILED_UNTIL = f"{_PREFIX}:{{reconcile}}:until".encode()
"""Up to when that is done, in milliseconds since the epoch."""

TEXTED = f"{_PREFIX}:{{onboarding}}:texted".encode()
"""When pending numbers were first texted through Twilio, in seconds since the epoch, by number."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The keys that the contacts of one bucket share."""

    number: int
    """Its place in `ALL_BUCKETS`."""
    tag: str
    journal: bytes
    """The stream of messages."""
    dead_letters: bytes
    """The stream of messages that failed, with the cause."""
    opt_outs: bytes
    """Contacts on the opt-out list, by when they opted out: ``scope contact``."""
    outbox: bytes
    """What leaves by REST, by when a worker should look at it next."""
    scheduled: bytes
    """Entries of the outbox for messages that are no replies, until they are due, by when that is."""
    events: bytes
    """Events for the team's handlers, and timers of conversations, by when they are due."""
    probe: bytes
    """Written to find out whether the bucket's node accepts writes; it expires by itself."""
    body_retention_cursor: bytes
    """The last entry of the journal whose text was removed."""
    abandoned_cursor: bytes
    """The last entry of the journal that is answered, or a dead letter."""
    consents: bytes
    """Contacts that have a ledger of their consent, by the time of its latest entry: ``scope contact``."""
    consent_epoch: bytes
    """Exists while the opt-outs are whole. Where Redis loses its data, this mark is lost with them."""
    consent_loss: bytes
    """Exists for a while after operators were told that the node has lost opt-outs: one worker does."""

    def message(self, reference: str) -> bytes:
        """Key of one inbound message; ``reference`` is ``AccountSid/MessageSid``."""
        return f"{self.tag}:message:{reference}".encode()

    def receipt(self, reference: str) -> bytes:
        """Key of one outgoing message's delivery status."""
        return f"{self.tag}:receipt:{reference}".encode()

    def contact(self, scope: str, contact: str) -> bytes:
        """Key of what is stored of a contact; ``scope`` is a Service's sid, or a number outside Services."""
        return f"{self.tag}:contact:{scope}:{contact}".encode()

    def consent(self, scope: str, contact: str) -> bytes:
        """Key of the ledger of a contact's consent: when they last opted in, and each entry by its id."""
        return f"{self.tag}:consent:{scope}:{contact}".encode()

    def last_delivery(self, scope: str, contact: str) -> bytes:
        """Key of when each sender last reached a contact, against which older failures are weighed."""
        return f"{self.tag}:last-delivery:{scope}:{contact}".encode()

    def conversation(self, scope: str, contact: str) -> bytes:
        """Key of a contact's conversation and its lock."""
        return f"{self.tag}:conversation:{scope}:{contact}".encode()

    def reply_count(self, scope: str, contact: str) -> bytes:
        """Key of how many replies a contact was sent in the loop guard's window."""
        return f"{self.tag}:reply-count:{scope}:{contact}".encode()

    def cookies(self, contact: str, number: str) -> bytes:
        """Key of an application's cookies for a contact and a number of ours."""
        return f"{self.tag}:cookies:{number}:{contact}".encode()


def _bucket(number: int) -> Bucket:
    tag = f"{_PREFIX}:{{{number}}}"
    names = (field.name.replace("_", "-") for field in fields(Bucket)[2:])
    return Bucket(number, tag, *(f"{tag}:{name}".encode() for name in names))


ALL_BUCKETS = tuple(_bucket(number) for number in range(BUCKETS))


@lru_cache(maxsize=4096)
def bucket_of(contact: str) -> Bucket:
    """Return the bucket that holds a contact's keys; ``contact`` is the address they text from."""
    return ALL_BUCKETS[crc32(contact.encode("utf-8", "surrogatepass")) % BUCKETS]


SCHEMA = f"{_PREFIX}:schema".encode()
"""The version of the stored form of all keys."""

SCHEMA_PROBE = f"{{{_PREFIX}:schema}}:probe".encode()
"""A key in the slot of `SCHEMA`, for probes of its node."""


def erasure_receipt(receipt_id: str) -> bytes:
    """Key of the receipt of an erasure: its ``document``, and each message's result at Twilio by its sid."""
    return f"{_PREFIX}:{{erasures}}:receipt:{receipt_id}".encode()


def failure_alert(sender: str, error_class: str) -> bytes:
    """Key that exists while operators have been warned of a sender's failures of one class."""
    return f"{_PREFIX}:{{failures}}:alert:{sender}:{error_class}".encode()


@dataclass(frozen=True, slots=True)
class PoolKeys:
    """The keys of one Service's pool; they share a hash tag, so that one script may touch them."""

    snapshot: bytes
    version: bytes
    """Of the snapshot: its version, when it was read, and how many changes had been announced by then."""
    change_count: bytes
    """How often the Service was changed; a reading that began before the last change is discarded."""
    refresh_lock: bytes
    """Exists while a worker reads the pool from Twilio."""
    failure_count: bytes
    """Readings that failed one after the other, of all workers."""

    @classmethod
    def of(cls, service_sid: str) -> PoolKeys:
        pool = f"{_PREFIX}:pool:{{{service_sid}}}"
        names = ("version", "changes", "refresh-lock", "failures")
        return cls(pool.encode(), *(f"{pool}:{name}".encode() for name in names))
