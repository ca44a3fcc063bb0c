"""Senders, pools and requests for the tests of this folder."""

from hypothesis import strategies as st

from sms_router.senders.conditions import NO_CONDITIONS, SenderConditions
from sms_router.senders.country import area_code_of
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.senders.pool import Pool
from sms_router.senders.request import RecipientFacts, ReplyFrom, SelectionRequest

SMS = Capability.SMS
MMS = Capability.MMS
BOTH = SMS | MMS
NONE = Capability.NONE

NOON = 1_767_960_000.0
"""2026-01-09 12:00 UTC."""


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


COUNTRIES = ("US", "CA", "GB", "FR")
PEOPLE = {
    "US": ("+14155550123", "+12125550188"),
    "CA": ("+16135550123", "+14165550199"),
    "GB": ("+447400123456",),
    "FR": ("+33612345678",),
}
NUMBERS = {
    "US": ("+14155550001", "+14155550002", "+12125550003", "+13125550004"),
    "CA": ("+16135550005", "+14165550006"),
    "GB": ("+447400000007", "+447400000008"),
    "FR": ("+33600000009",),
}
TOLL_FREE = {"US": ("+18885550010", "+18335550011"), "CA": ("+18445550012",)}
CODES = ("12345", "67890", "55555")
NAMES = ("ACME", "Acme Shop")


def sender(
    address: str,
    country: str | None = "US",
    *,
    kind: SenderKind | None = None,
    can: Capability = BOTH,
    live: bool = True,
) -> Sender:
    """A sender whose kind is told from its address, and whose sid from both address and country."""
    return Sender(f"{address}/{country}", address, kind or kind_of(address), country, can, live)


def kind_of(address: str) -> SenderKind:
    if address.startswith(("+1888", "+1833", "+1844")):
        return SenderKind.TOLL_FREE
    if address.startswith("+"):
        return SenderKind.LONG_CODE
    return SenderKind.SHORT_CODE if address.isdigit() else SenderKind.ALPHANUMERIC


def pool(*senders: Sender) -> Pool:
    return Pool("MG" + "1" * 32, 1, senders)


def request(
    person: str = "+14155550123",
    country: str | None = "US",
    *,
    needs: Capability = SMS,
    texted: str = "12345",
    policy: ReplyFrom = ReplyFrom.SHORT_CODE_FIRST,
    wish: str | None = None,
    one_way: bool = False,
) -> SelectionRequest:
    return SelectionRequest(person, country, area_code_of(person), needs, texted, policy, wish, one_way)


def _addresses() -> list[tuple[str, str | None]]:
    numbers = [
        (address, country) for book in (NUMBERS, TOLL_FREE) for country in book for address in book[country]
    ]
    codes = [(code, country) for code in CODES for country in COUNTRIES]
    return [*numbers, *codes, *((name, None) for name in NAMES)]


def _sender_of(place: tuple[str, str | None]) -> st.SearchStrategy[Sender]:
    return st.builds(
        lambda can, live: sender(*place, can=can, live=live),
        st.sampled_from([BOTH, BOTH, SMS, MMS, NONE]),
        st.sampled_from([True, True, True, False]),
    )


pools = st.lists(
    st.sampled_from(_addresses()).flatmap(_sender_of), max_size=14, unique_by=lambda each: each.sid
).map(lambda senders: pool(*senders))

_every_address = st.sampled_from([address for address, _ in _addresses()])

requests = st.builds(
    lambda who, known, **rest: request(who[1], who[0] if known else None, **rest),
    st.sampled_from([(country, person) for country in COUNTRIES for person in PEOPLE[country]]),
    st.sampled_from([True, True, True, False]),
    needs=st.sampled_from([SMS, SMS, MMS, BOTH]),
    texted=_every_address | st.just("+19995550000"),
    policy=st.sampled_from(ReplyFrom),
    wish=st.none() | _every_address | st.just("+19995550001"),
    one_way=st.booleans(),
)

facts = st.builds(
    RecipientFacts,
    unreachable=st.frozensets(_every_address, max_size=4),
    opted_out=st.sampled_from([False] * 9 + [True]),
    last_sender=st.none() | _every_address,
)

_every_key = st.sampled_from([f"{address}/{country}" for address, country in _addresses()]) | st.just(
    "+19995550000"
)


def _for_a_reason(reason: str) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(_every_key, st.just(reason), max_size=4)


_against = st.builds(
    SenderConditions,
    cordoned=_for_a_reason("cordoned until it is released: carrier incident"),
    capped=_for_a_reason("has sent its 2000 of today"),
    over_rate=_for_a_reason("over its rate: 1 a second"),
)
conditions = st.just(NO_CONDITIONS) | _against
pending = _for_a_reason("being ported in")
used = st.dictionaries(_every_key, st.sampled_from([1.0, 2.0, 3.0]))
