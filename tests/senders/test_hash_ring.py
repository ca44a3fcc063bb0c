"""Consistent hashing of contacts over equal senders."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sms_router.senders.hash_ring import HashRing
from sms_router.senders.models import Sender
from tests.senders.builders import sender


def numbers(count: int) -> list[Sender]:
    return [sender(f"+1415555{index:04d}") for index in range(count)]


@given(st.integers(1, 40), st.text(max_size=16))
def test_every_sender_is_yielded_once(count: int, contact: str) -> None:
    ring = HashRing(numbers(count))
    order = list(ring.iter_from(contact))
    assert order[0] == ring.first(contact)
    assert sorted(each.address for each in order) == [each.address for each in ring]


@given(st.integers(2, 40), st.text(max_size=16), st.data())
def test_the_others_keep_their_order_when_one_leaves(count: int, contact: str, data: st.DataObject) -> None:
    senders = numbers(count)
    gone = data.draw(st.sampled_from(senders))
    order = [each for each in HashRing(senders).iter_from(contact) if each != gone]
    assert list(HashRing(each for each in senders if each != gone).iter_from(contact)) == order


def test_contacts_are_spread_over_the_senders() -> None:
    ring = HashRing(numbers(10))
    shares = Counter(ring.first(f"+1212555{contact:04d}").address for contact in range(5000))
    assert len(shares) == 10
    assert max(shares.values()) < 5000 / 10 * 2.5


def test_a_ring_holds_its_senders_only() -> None:
    ring = HashRing(numbers(3))
    assert len(ring) == 3
    assert ring.holds(sender("+14155550001"))
    assert not ring.holds(sender("+14155550001", "CA"))
    assert not ring.holds(sender("+14155550009"))


def test_an_empty_ring_yields_nothing() -> None:
    assert list(HashRing(()).iter_from("+14155550123")) == []


def test_a_contact_keeps_its_sender_on_every_version() -> None:
    """Another order would move contacts to other numbers with an upgrade."""
    order = [each.address[-1] for each in HashRing(numbers(6)).iter_from("+12125550188")]
    assert "".join(order) == "014523"
    assert HashRing(numbers(6)).first("\ud800").address == "+14155550004"
