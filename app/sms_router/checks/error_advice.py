"""Errors of Twilio's REST API for an operator: their meaning and their remedy."""

from __future__ import annotations

from sms_router.twilio.rest import ApiFailure, FailureKind

_CREDENTIALS = "compare TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN with the Twilio console"
_LIST = "list the account's numbers: sms-router senders list --all"
_LATER = "try again in a minute; the routers continue with the senders they have"

_CODES = {
    20001: "Twilio does not accept a value; see --help for the values of each option",
    20003: f"the account sid and the auth token do not match; {_CREDENTIALS}",
    20008: "test credentials do not allow this; use the account's live sid and auth token",
    20404: f"the sid does not exist on this account; {_LIST}",
    20429: "too many concurrent requests; nothing was changed; try again in a few seconds",
    20500: f"an internal error of Twilio; {_LATER}",
    20503: f"Twilio is not available; {_LATER}",
    21406: "a fallback URL requires a URL; add --sms-url",
    21422: f"this number is not available; {_LIST}",
    21502: "the fallback URL is malformed; use a URL that begins with https://",
    21701: (
        "this Messaging Service does not exist on this account; check TWILIO_MESSAGING_SERVICE_SID, or"
        " select another one with --service"
    ),
    21705: "this is not the sid of a Messaging Service; use MG and 32 hex digits, as in the Twilio console",
    21709: (
        "this is not a valid alphanumeric sender; use at most 11 letters, digits, spaces or - + _ &, with"
        " at least one letter"
    ),
    21710: "this sender is already in the Messaging Service; nothing has to be done: sms-router senders list",
    21711: "this sender is not in the Messaging Service; add it first: sms-router senders add SID",
    21712: (
        "this sender belongs to another Messaging Service; remove it there first: sms-router senders"
        " remove SID --service MG..."
    ),
    21714: (
        "the Messaging Service has the maximum of 400 senders; remove one first: sms-router senders remove"
        " SID, or ask Twilio's support for a higher limit"
    ),
    21715: "this number supports neither SMS nor MMS; choose another one: sms-router senders list --all",
}
"""The meaning of an error; what to do."""

_KINDS = {
    FailureKind.NOT_FOUND: _CODES[20404],
    FailureKind.UNAUTHORIZED: _CODES[20003],
    FailureKind.RATE_LIMITED: _CODES[20429],
    FailureKind.UNAVAILABLE: (
        "there was no response; check the network and https://status.twilio.com, then try again"
    ),
    FailureKind.UNREADABLE: (
        "a proxy or a login page may be in between; check TWILIO_API_BASE_URL and the network"
    ),
    FailureKind.REFUSED: "Twilio refuses this; see Twilio's message",
}


def advise(failure: ApiFailure) -> str:
    """Return one sentence with the error's code, its meaning and its remedy.

    For a code that is not listed here it is Twilio's message with the URL of its documentation.
    """
    if failure.code is None:
        return f"{failure.sentence}: {_KINDS[failure.kind]}."
    if failure.code not in _CODES:
        page = f"https://www.twilio.com/docs/errors/{failure.code}"
        return f"{failure.sentence.rstrip('.')}; see {page}"
    advice = _CODES[failure.code]
    if failure.code == 20001:  # the general code for an invalid value: only Twilio's message names the value
        advice = advice.replace(";", f" ({failure.detail});", 1)
    return f"Twilio returned error {failure.code}: {advice}."
