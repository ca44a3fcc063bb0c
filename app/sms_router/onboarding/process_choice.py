"""Which onboarding process fits a number, by its country and kind."""

from __future__ import annotations

from dataclasses import dataclass

import phonenumbers

from sms_router.onboarding.steps import OnboardingKind, processes
from sms_router.senders.country import CANADA, UNITED_STATES, country_of, is_toll_free
from sms_router.twilio.phone_numbers import InvalidNumberError

_SHORT_CODES = (OnboardingKind.SHORT_CODE_LEASE, OnboardingKind.SHORT_CODE_MIGRATION)
_US_SHORT_CODE_LENGTHS = (5, 6)
_TOLL_FREE_COUNTRIES = (UNITED_STATES, CANADA)


class UnsupportedNumberError(ValueError):
    """A number that cannot be onboarded as requested; the text names the reason and the alternative."""


@dataclass(frozen=True, slots=True)
class OnboardingPath:
    """A number, its country, and the kind of its onboarding."""

    number: str
    country: str
    kind: OnboardingKind


def choose_path(number: str, kind: OnboardingKind | None, country: str | None) -> OnboardingPath:
    """Return the onboarding of a number that an operator has entered.

    Args:
        number: E.164, or the digits of a short code.
        kind: as entered; None for the only one that fits.
        country: as entered; None for the number's own.

    Raises:
        UnsupportedNumberError: when it is not a number, or the kind or the country does not fit.

    """
    number = number.strip()
    if number.isascii() and number.isdigit() and len(number) <= 8:
        return _short_code(number, kind, country)
    return _phone_number(number, kind, country)


def _short_code(number: str, kind: OnboardingKind | None, country: str | None) -> OnboardingPath:
    if country not in (None, UNITED_STATES):
        raise UnsupportedNumberError(
            f"Only short codes of the US have an onboarding process here, not those of {country}."
            " Ask Twilio's short code team, and do not use the code until then: sms-router senders cordon"
        )
    if len(number) not in _US_SHORT_CODE_LENGTHS:
        raise UnsupportedNumberError(f"{number} is not a US short code, which has 5 or 6 digits")
    if kind is None:
        raise UnsupportedNumberError(f"Choose how the short code moves to Twilio: {_options(_SHORT_CODES)}")
    if kind not in _SHORT_CODES:
        raise UnsupportedNumberError(f"Short codes are migrated, not ported: {_options(_SHORT_CODES)}")
    return OnboardingPath(number, UNITED_STATES, kind)


def _phone_number(number: str, kind: OnboardingKind | None, country: str | None) -> OnboardingPath:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException as error:
        raise UnsupportedNumberError(
            f"{InvalidNumberError(number)}, or the digits of a short code"
        ) from error
    address = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_possible_number(parsed):
        digits = number.lstrip("+")
        hint = "; a short code has no plus" if len(digits) <= 8 else ""
        raise UnsupportedNumberError(f"{number} is not a phone number: its length is wrong{hint}")
    home = country_of(address, None)
    if _is_north_american_toll_free(address) and country in _TOLL_FREE_COUNTRIES:
        home = country
    if country is not None and country != home:
        raise UnsupportedNumberError(f"{address} belongs to {home or 'no country'}, not to {country}")
    right = _right_kind(address, home)
    if kind not in (None, right):
        title = processes()[right].title
        raise UnsupportedNumberError(f"{kind} is not the process for {address}: use --kind {right} ({title})")
    return OnboardingPath(address, home or "", right)


def _is_north_american_toll_free(address: str) -> bool:
    # Its country is that of its owner; the number does not tell.
    return address.startswith("+1") and is_toll_free(address)


def _right_kind(address: str, country: str | None) -> OnboardingKind:
    if _is_north_american_toll_free(address):
        return OnboardingKind.PORT_TOLL_FREE
    if country == UNITED_STATES:
        return OnboardingKind.PORT_US
    return OnboardingKind.PORT_CANADA if country == CANADA else OnboardingKind.PORT_INTERNATIONAL


def _options(kinds: tuple[OnboardingKind, ...]) -> str:
    return " or ".join(f"--kind {kind} ({processes()[kind].title})" for kind in kinds)
