"""Who texts: numbers, where they are from, and which of our numbers must answer them."""

from __future__ import annotations

from dataclasses import dataclass

SHORT_CODE = "12345"
TOLL_FREE = "+18885550100"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a number is from, as Twilio writes it."""

    area_code: str
    city: str
    state: str
    postcode: str
    country: str = "US"


PLACES = (
    Place("206", "SEATTLE", "WA", "98101"),
    Place("212", "NEW YORK", "NY", "10001"),
    Place("213", "LOS ANGELES", "CA", "90012"),
    Place("312", "CHICAGO", "IL", "60601"),
    Place("415", "SAN FRANCISCO", "CA", "94103"),
    Place("512", "AUSTIN", "TX", "78701"),
    Place("602", "PHOENIX", "AZ", "85003"),
    Place("617", "BOSTON", "MA", "02108"),
    Place("702", "LAS VEGAS", "NV", "89101"),
    Place("801", "SALT LAKE CITY", "UT", "84101"),
    Place("808", "HONOLULU", "HI", "96813"),
    Place("416", "TORONTO", "ON", "M5H", "CA"),
)

FICTIONAL = 100 * len(PLACES)
"""So many numbers of these places (555-0100 to 555-0199) belong to nobody, and may be used anywhere."""


@dataclass(frozen=True, slots=True)
class Person:
    """One phone."""

    number: str
    place: Place

    @property
    def answered_from(self) -> str:
        """The number that answers by ``reply_from = "short-code-first"``.

        A US short code reaches nobody in Canada, where toll-free comes before long codes.
        """
        return SHORT_CODE if self.place.country == "US" else TOLL_FREE


def person(number: int) -> Person:
    """Return the same person for the same number; the first `FICTIONAL` have numbers of nobody's."""
    place = PLACES[number % len(PLACES)]
    line = number // len(PLACES)
    local = 5_550_100 + line if line < 100 else 2_000_000 + line
    return Person(f"+1{place.area_code}{local}", place)
