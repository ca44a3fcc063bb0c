"""Which senders do not reach a contact, inferred from failures, at any moment."""

from __future__ import annotations

from itertools import permutations

import pytest

from sms_router.senders.error_table import load_error_table
from sms_router.senders.reachability import FailedDelivery, infer_unreachable, read_failures

TABLE = load_error_table()
HOUR, DAY = 3_600_000, 86_400_000
THEN = 1_700_000_000_000
ONCE, TWICE = 30006, 30003


def test_malformed_failures_are_left_out() -> None:
    assert read_failures("30006@1700000000000 30003@5") == (
        FailedDelivery(ONCE, THEN),
        FailedDelivery(TWICE, 5),
    )
    assert read_failures("") == read_failures("30006 x@y 30006@") == ()


@pytest.mark.parametrize(
    ("failures", "days", "unreachable"),
    [
        ([], 0, False),
        ([(ONCE, 0)], 0, True),
        ([(ONCE, 0)], 13.9, True),
        ([(ONCE, 0)], 14, False),
        ([(ONCE, 0)], -1, False),
        ([(TWICE, 0)], 0, False),
        ([(TWICE, 0), (TWICE, 1)], 1, True),
        ([(TWICE, 0), (TWICE, 1)], 3, False),
        ([(TWICE, 0), (TWICE, 2)], 2, False),
        ([(TWICE, 0), (TWICE, 0)], 0, False),
        ([(TWICE, 0), (ONCE, 1)], 1, True),
        ([(30007, 0)], 0, False),
        ([(30005, 0)], 0, False),
        ([(39999, 0)], 0, False),
    ],
)
def test_enough_failures_make_a_sender_unreachable_for_a_time(
    failures: list[tuple[int, int]], days: float, unreachable: bool
) -> None:
    """Failures are (code, day); two of one moment are parts of one reply and count once."""
    known = {FailedDelivery(code, THEN + day * DAY) for code, day in failures}
    for order in permutations(known):
        inferred = infer_unreachable("12345", order, TABLE, int(THEN + days * DAY))
        assert (inferred is not None) is unreachable


def test_the_result_has_its_begin_and_its_end() -> None:
    inferred = infer_unreachable(
        "12345", [FailedDelivery(TWICE, THEN), FailedDelivery(TWICE, THEN + HOUR)], TABLE, THEN + HOUR
    )
    assert inferred is not None
    assert (inferred.address, inferred.code, inferred.failures) == ("12345", TWICE, 2)
    assert (inferred.since, inferred.until) == (THEN + HOUR, THEN + HOUR + 2 * DAY)


def test_of_two_codes_the_one_that_lasts_longer_is_returned() -> None:
    failures = [FailedDelivery(TWICE, THEN), FailedDelivery(TWICE, THEN + HOUR), FailedDelivery(ONCE, THEN)]
    inferred = infer_unreachable("12345", failures, TABLE, THEN + HOUR)
    assert inferred is not None
    assert inferred.code == ONCE
