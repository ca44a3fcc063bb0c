"""Simulated contacts: their numbers, where these are from, and which sender must reply to them."""

from __future__ import annotations

from dataclasses import dataclass

SHORT_CODE = "12345"
TOLL_FREE = "+18885550100"


@dataclass(frozen=True, slots=True)
class Locality:
    """Where a number is from, as Twilio's parameters name it."""

    area_code: str
    city: str
    state: str
    postcode: str
    country: str = "US"


LOCALITIES = (
    Locality("206", "SEATTLE", "WA", "98101"),
    Locality("212", "NEW YORK", "NY", "10001"),
    Locality("213", "LOS ANGELES", "CA", "90012"),
    Locality("312", "CHICAGO", "IL", "60601"),
    Locality("415", "SAN FRANCISCO", "CA", "94103"),
    Locality("512", "AUSTIN", "TX", "78701"),
    Locality("602", "PHOENIX", "AZ", "85003"),
    Locality("617", "BOSTON", "MA", "02108"),
    Locality("702", "LAS VEGAS", "NV", "89101"),
    Locality("801", "SALT LAKE CITY", "UT", "84101"),
    Locality("808", "HONOLULU", "HI", "96813"),
    Locality("416", "TORONTO", "ON", "M5H", "CA"),
)

FICTIONAL_CONTACTS = 99 * len(LOCALITIES)
"""So many contacts have a number that is not assigned (555-0101 to 555-0199); the sandbox's senders
have 555-0100, and a router sends nothing to its own numbers."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One phone."""

    number: str
    locality: Locality

    @property
    def expected_sender(self) -> str:
        """The sender that replies with ``reply_from = "short-code-first"``.

        A US short code does not reach Canada, where toll-free numbers come before long codes.
        """
        return SHORT_CODE if self.locality.country == "US" else TOLL_FREE


def make_contact(index: int) -> Contact:
    """Return the contact of this index; the first `FICTIONAL_CONTACTS` have numbers that are not assigned."""
    locality = LOCALITIES[index % len(LOCALITIES)]
    line = index // len(LOCALITIES)
    local = 5_550_101 + line if line < 99 else 2_000_000 + line
    return Contact(f"+1{locality.area_code}{local}", locality)
