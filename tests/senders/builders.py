"""Builds senders, pools and requests for tests, one by one and as Hypothesis strategies."""

from hypothesis import strategies as st

from sms_router.senders.country import area_code_of
from sms_router.senders.models import (
    NO_CONDITIONS,
    Capability,
    RecipientFacts,
    ReplyFrom,
    SelectionRequest,
    Sender,
    SenderConditions,
    SenderKind,
)
from sms_router.senders.pool import Pool

SMS = Capability.SMS
MMS = Capability.MMS
BOTH = SMS | MMS
NONE = Capability.NONE

NOON = 1_767_960_000.0
"""2026-01-09 12:00 UTC."""


class FakeClock:
    """A clock that moves only when a test sets ``now``."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


COUNTRIES = ("US", "CA", "GB", "FR")
CONTACTS = {
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
    """Build a sender: its address determines the kind, address and country the sid."""
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
    contact: str = "+14155550123",
    country: str | None = "US",
    *,
    needs: Capability = SMS,
    texted: str = "12345",
    policy: ReplyFrom = ReplyFrom.SHORT_CODE_FIRST,
    preferred: str | None = None,
    one_way: bool = False,
) -> SelectionRequest:
    return SelectionRequest(
        contact, country, area_code_of(contact), needs, texted, policy, preferred, one_way
    )


def _addresses() -> list[tuple[str, str | None]]:
    numbers = [
        (address, country)
        for by_country in (NUMBERS, TOLL_FREE)
        for country in by_country
        for address in by_country[country]
    ]
    codes = [(code, country) for code in CODES for country in COUNTRIES]
    return [*numbers, *codes, *((name, None) for name in NAMES)]


def _sender_at(place: tuple[str, str | None]) -> st.SearchStrategy[Sender]:
    return st.builds(
        lambda can, live: sender(*place, can=can, live=live),
        st.sampled_from([BOTH, BOTH, SMS, MMS, NONE]),
        st.sampled_from([True, True, True, False]),
    )


pools = st.lists(
    st.sampled_from(_addresses()).flatmap(_sender_at), max_size=14, unique_by=lambda sender: sender.sid
).map(lambda senders: pool(*senders))

_every_address = st.sampled_from([address for address, _ in _addresses()])

requests = st.builds(
    lambda contact, country_known, **rest: request(contact[1], contact[0] if country_known else None, **rest),
    st.sampled_from([(country, contact) for country in COUNTRIES for contact in CONTACTS[country]]),
    st.sampled_from([True, True, True, False]),
    needs=st.sampled_from([SMS, SMS, MMS, BOTH]),
    texted=_every_address | st.just("+19995550000"),
    policy=st.sampled_from(ReplyFrom),
    preferred=st.none() | _every_address | st.just("+19995550001"),
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


def _senders_with(reason: str) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(_every_key, st.just(reason), max_size=4)


_conditions_without_use = st.builds(
    SenderConditions,
    cordoned=_senders_with("cordoned until it is released: carrier incident"),
    capped=_senders_with("at its daily cap: 2000 segments"),
    over_rate=_senders_with("over its rate: 1 MPS"),
)
conditions = st.just(NO_CONDITIONS) | _conditions_without_use
pending = _senders_with("being ported in")
used = st.dictionaries(_every_key, st.sampled_from([1.0, 2.0, 3.0]))
