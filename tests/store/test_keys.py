import re

from hypothesis import given
from hypothesis import strategies as st

from sms_router.store.keys import ALL_BUCKETS, BUCKETS, bucket_of

HASH_TAG = re.compile(rb"[^{]*\{([^}]+)\}")
"""What Redis Cluster hashes: the text between the first brace and the one after it (when not empty)."""


def tag(key: bytes) -> bytes:
    found = HASH_TAG.match(key)
    assert found is not None
    return found[1]


@given(st.text(), st.text(), st.text())
def test_all_keys_of_a_contact_share_one_hash_tag(person: str, message: str, receipt: str) -> None:
    bucket = bucket_of(person)
    names = [name.encode("utf-8", "replace").decode() for name in (message, receipt)]
    keys = [bucket.journal, bucket.dead_letters, bucket.message(names[0]), bucket.receipt(names[1])]
    assert len({tag(key) for key in keys}) == 1
    assert all(key.startswith(b"sms-router:") for key in keys)


@given(st.text(), st.text())
def test_a_message_and_a_receipt_never_share_a_key(message: str, receipt: str) -> None:
    bucket = bucket_of("+14155550100")
    names = [name.encode("utf-8", "replace").decode() for name in (message, receipt)]
    assert bucket.message(names[0]) != bucket.receipt(names[1])


def test_contacts_are_spread_over_all_buckets() -> None:
    used = {bucket_of(f"+1415555{number:04}").tag for number in range(10_000)}
    assert used == {bucket.tag for bucket in ALL_BUCKETS}
    assert len(used) == BUCKETS


def test_contacts_stay_in_their_bucket() -> None:
    """These are in databases already: another way to choose the bucket would lose them."""
    people = ("+14155550100", "whatsapp:+447700900123", "12345", "")
    assert [bucket_of(person).tag for person in people] == [
        "sms-router:{11}",
        "sms-router:{12}",
        "sms-router:{28}",
        "sms-router:{0}",
    ]
