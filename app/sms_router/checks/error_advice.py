"""What Twilio's refusals mean to an operator, and what mends them (facts 6.3, 5.4)."""

from __future__ import annotations

from typing import NamedTuple

from sms_router.twilio.rest import ApiFailure, FailureKind


class Advice(NamedTuple):
    """What an error says of this account, and what to do."""

    words: str
    remedy: str


_CREDENTIALS = "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN against the Twilio console"
_LATER = "try again in a minute; routers go on with the senders they know"

_CODES = {
    20001: Advice("a value is not one that Twilio takes", "see --help for what each option may be"),
    20003: Advice("the account sid and the token do not belong together", _CREDENTIALS),
    20008: Advice("test credentials cannot do this", "use the account's live sid and token"),
    20404: Advice(
        "there is nothing under this sid, or not on this account",
        "look at what there is: sms-router senders list --all",
    ),
    20429: Advice("too many requests at once; nothing was done", "try again in a few seconds"),
    20500: Advice("Twilio has a fault of its own", _LATER),
    20503: Advice("Twilio is not available", _LATER),
    21406: Advice("a fallback URL needs a URL before it", "give --sms-url too"),
    21422: Advice(
        "this number is not to be had", "look at the account's numbers: sms-router senders list --all"
    ),
    21502: Advice("the URL of the fallback is not one", "write a URL that begins with https://"),
    21701: Advice(
        "this Messaging Service does not exist on this account",
        "check TWILIO_MESSAGING_SERVICE_SID, or name another with --service",
    ),
    21705: Advice(
        "this is no sid of a Messaging Service", "a sid is MG and 32 hex digits, as the console shows it"
    ),
    21709: Advice(
        "this is no alphanumeric sender",
        "use at most 11 letters, digits, blanks or - + _ &, with one letter at least",
    ),
    21710: Advice(
        "this sender is in the Messaging Service already", "nothing to do: sms-router senders list"
    ),
    21711: Advice("this sender is not in the Messaging Service", "add it first: sms-router senders add SID"),
    21712: Advice(
        "this sender belongs to another Messaging Service",
        "take it out there first: sms-router senders remove SID --service MG...",
    ),
    21714: Advice(
        "the Messaging Service has as many senders as Twilio allows (400)",
        "remove one first: sms-router senders remove SID, or ask Twilio's support for more",
    ),
    21715: Advice("this number can carry neither SMS nor MMS", "choose one that can: senders list --all"),
}

_KINDS = {
    FailureKind.NOT_FOUND: _CODES[20404],
    FailureKind.UNAUTHORIZED: _CODES[20003],
    FailureKind.RATE_LIMITED: _CODES[20429],
    FailureKind.UNAVAILABLE: Advice(
        "no answer came", "check the network and https://status.twilio.com, then try again"
    ),
    FailureKind.UNREADABLE: Advice(
        "a proxy or a login page may stand in between", "check TWILIO_API_BASE_URL and the network"
    ),
    FailureKind.REFUSED: Advice("Twilio does not do this", "see what Twilio says of it"),
}


def advise(failure: ApiFailure) -> str:
    """Return one sentence with the error's code, its meaning and its remedy.

    A code that is not listed here keeps Twilio's own words, and the remedy is its page.
    """
    if failure.code is None:
        meaning = _KINDS[failure.kind]
        return f"{failure.sentence}: {meaning.words}; {meaning.remedy}."
    if failure.code not in _CODES:
        page = f"https://www.twilio.com/docs/errors/{failure.code}"
        return f"{failure.sentence.rstrip('.')}; what it means: {page}"
    meaning = _CODES[failure.code]
    # The general code for a wrong value says only in its own words which value that is.
    words = f"{meaning.words} ({failure.detail})" if failure.code == 20001 else meaning.words
    return f"Twilio answered with error {failure.code}: {words}; {meaning.remedy}."
