"""The compact list behaves like a dictionary, for numbers and for everything else."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.opt_outs.opt_out_times import OptOutTimes
from sms_router.store.keys import ALL_BUCKETS, bucket_of

SCOPES = ["MG" + "1" * 32, "MG" + "2" * 32, "12345", ""]
CONTACTS = [
    "+14155550123", "+14155550124", "+999999999999999", "+9999999999999999", "+1", "+", "+0123", "+٣", "",
    "whatsapp:+14155550123", "12345", "ACME", "+1415555012x", "+-1", "\udcff",
]  # fmt: skip
KEYS = st.tuples(st.sampled_from(SCOPES), st.sampled_from(CONTACTS) | st.from_regex(r"\+[1-9]\d{6,14}"))


@given(st.lists(st.tuples(KEYS, st.integers(0, 2**45) | st.none()), max_size=60), st.lists(KEYS, max_size=10))
def test_it_is_a_dictionary(
    steps: list[tuple[tuple[str, str], int | None]], others: list[tuple[str, str]]
) -> None:
    times, expected = OptOutTimes(), dict[tuple[str, str], int]()
    for key, at in steps:
        if at is None:
            times.discard(key)
            expected.pop(key, None)
        else:
            times[key] = expected[key] = at
    assert len(times) == len(expected)
    for key in [*others, *(key for key, _ in steps)]:
        assert times.get(key) == expected.get(key)
        assert (key in times) is (key in expected)
    found = [(number, entry) for number in range(64) for part in times.parts_of(number) for entry in part]
    assert dict(entry for _, entry in found) == expected
    assert all(bucket_of(contact) is ALL_BUCKETS[number] for number, ((_, contact), _) in found)


def test_an_entry_takes_sixteen_bytes() -> None:
    times, used = OptOutTimes(), []
    tracemalloc.start()
    for end in (40_000, 80_000):
        for number in range(end - 40_000, end):
            times["MG" + "1" * 32, f"+1415{number:07}"] = number
        used.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert 16 <= (used[1] - used[0]) / 40_000 < 20  # the arrays have some room


def test_every_kind_of_contact_is_found_until_it_is_removed() -> None:
    times = OptOutTimes()
    keys = [(scope, contact) for scope in SCOPES for contact in CONTACTS]
    for at, key in enumerate(keys):
        times[key] = at
    assert ([times.get(key) for key in keys], len(times)) == (list(range(60)), 60)
    found = [entry for number in range(64) for part in times.parts_of(number) for entry in part]
    assert sorted(found, key=lambda entry: entry[1]) == list(zip(keys, range(60), strict=True))
    for key in keys:
        times.discard(key)
        assert key not in times
    assert len(times) == 0
