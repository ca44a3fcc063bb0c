"""Errors of Twilio's REST API for an operator: their meaning and their remedy."""

from __future__ import annotations

from typing import NamedTuple

from sms_router.twilio.rest import ApiFailure, FailureKind


class Advice(NamedTuple):
    """The meaning of an error, and what to do."""

    meaning: str
    remedy: str


_CREDENTIALS = "compare TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN with the Twilio console"
_LATER = "try again in a minute; the routers continue with the senders they have"

_CODES = {
    20001: Advice("Twilio does not accept a value", "see --help for the values of each option"),
    20003: Advice("the account sid and the auth token do not match", _CREDENTIALS),
    20008: Advice("test credentials do not allow this", "use the account's live sid and auth token"),
    20404: Advice(
        "the sid does not exist on this account",
        "list the account's numbers: sms-router senders list --all",
    ),
    20429: Advice("too many concurrent requests; nothing was changed", "try again in a few seconds"),
    20500: Advice("an internal error of Twilio", _LATER),
    20503: Advice("Twilio is not available", _LATER),
    21406: Advice("a fallback URL requires a URL", "add --sms-url"),
    21422: Advice(
        "this number is not available", "list the account's numbers: sms-router senders list --all"
    ),
    21502: Advice("the fallback URL is malformed", "use a URL that begins with https://"),
    21701: Advice(
        "this Messaging Service does not exist on this account",
        "check TWILIO_MESSAGING_SERVICE_SID, or select another one with --service",
    ),
    21705: Advice(
        "this is not the sid of a Messaging Service", "use MG and 32 hex digits, as in the Twilio console"
    ),
    21709: Advice(
        "this is not a valid alphanumeric sender",
        "use at most 11 letters, digits, spaces or - + _ &, with at least one letter",
    ),
    21710: Advice(
        "this sender is already in the Messaging Service", "nothing has to be done: sms-router senders list"
    ),
    21711: Advice("this sender is not in the Messaging Service", "add it first: sms-router senders add SID"),
    21712: Advice(
        "this sender belongs to another Messaging Service",
        "remove it there first: sms-router senders remove SID --service MG...",
    ),
    21714: Advice(
        "the Messaging Service has the maximum of 400 senders",
        "remove one first: sms-router senders remove SID, or ask Twilio's support for a higher limit",
    ),
    21715: Advice(
        "this number supports neither SMS nor MMS", "choose another one: sms-router senders list --all"
    ),
}

_KINDS = {
    FailureKind.NOT_FOUND: _CODES[20404],
    FailureKind.UNAUTHORIZED: _CODES[20003],
    FailureKind.RATE_LIMITED: _CODES[20429],
    FailureKind.UNAVAILABLE: Advice(
        "there was no response", "check the network and https://status.twilio.com, then try again"
    ),
    FailureKind.UNREADABLE: Advice(
        "a proxy or a login page may be in between", "check TWILIO_API_BASE_URL and the network"
    ),
    FailureKind.REFUSED: Advice("Twilio refuses this", "see Twilio's message"),
}


def advise(failure: ApiFailure) -> str:
    """Return one sentence with the error's code, its meaning and its remedy.

    For a code that is not listed here it is Twilio's message with the URL of its documentation.
    """
    if failure.code is None:
        advice = _KINDS[failure.kind]
        return f"{failure.sentence}: {advice.meaning}; {advice.remedy}."
    if failure.code not in _CODES:
        page = f"https://www.twilio.com/docs/errors/{failure.code}"
        return f"{failure.sentence.rstrip('.')}; see {page}"
    advice = _CODES[failure.code]
    # 20001 is the general code for an invalid value; only Twilio's message names the value.
    meaning = f"{advice.meaning} ({failure.detail})" if failure.code == 20001 else advice.meaning
    return f"Twilio returned error {failure.code}: {meaning}; {advice.remedy}."
