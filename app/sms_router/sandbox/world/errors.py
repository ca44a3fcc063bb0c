"""Twilio's errors: codes, HTTP statuses and messages (facts 6.3, 7.1)."""

from __future__ import annotations

from dataclasses import dataclass

MORE_INFO = "https://www.twilio.com/docs/errors/{code}"


@dataclass(frozen=True, slots=True)
class ApiRejection:
    """Why Twilio's REST API rejects a call: an error of its dictionary, with the HTTP status."""

    code: int
    status: int
    message: str


class RejectedError(Exception):
    """A REST call is rejected; the exception handler makes the response of ``rejection``."""

    def __init__(self, rejection: ApiRejection) -> None:
        super().__init__(rejection.message)
        self.rejection = rejection


_REJECTIONS = {
    20001: (400, "{reason}"),
    20003: (401, "Authenticate"),
    20004: (405, "Method not allowed"),
    20007: (400, "Page size must not exceed 1000"),
    20009: (409, "Cannot {verb} this resource before it is complete"),
    20404: (404, "The requested resource {path} was not found"),
    20429: (429, "Too Many Requests"),
    20500: (500, "An internal server error has occurred"),
    20503: (503, "Service unavailable"),
    21211: (400, "Invalid 'To' Phone Number: {to}"),
    21265: (400, "'To' number {to} is a short code; Twilio numbers cannot text short codes"),
    21266: (400, "'To' and 'From' number cannot be the same: {to}"),
    21406: (400, "SmsFallbackUrl cannot be set without SmsUrl"),
    21408: (
        400,
        "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {to}",
    ),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (
        400,
        "The 'From' phone number provided ({sender}) is not a valid message-capable Twilio phone number"
        " for this destination",
    ),
    21609: (400, "The 'StatusCallback' URL {url} is not a valid fully qualified URL"),
    21610: (400, "WebhookCall to send to unsubscribed recipient"),
    21611: (400, "This 'From' number has exceeded the maximum number of queued messages"),
    21612: (
        400,
        "Message cannot be sent with the current combination of 'To' ({to}) and/or 'From' ({sender})"
        " parameters",
    ),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
    21620: (400, "Invalid media URL: {url}"),
    21621: (400, "The 'From' number {sender} has not been enabled for picture messaging"),
    21623: (400, "Number of media files exceeds allowed limit"),
    21659: (400, "'From' {sender} is not a Twilio phone number or Short Code country mismatch"),
    21701: (404, "The Messaging Service does not exist"),
    21703: (400, "The Messaging Service does not have a sender that can reach the recipient"),
    21704: (400, "The Messaging Service contains no phone numbers"),
    21705: (400, "The Messaging Service Sid {sid} is invalid"),
    21709: (400, "The Alpha Sender ID {name} is invalid"),
    21710: (409, "Phone Number or Short Code is already in the Messaging Service."),
    21711: (400, "The 'From' number {sender} does not belong to the Messaging Service {sid}"),
    21712: (409, "Phone Number or Short Code is associated with another Messaging Service."),
    21422: (400, "Invalid PhoneNumber or not available to you: {number}"),
    21714: (409, "The Messaging Service number pool size limit reached."),
    21715: (400, "Phone Number or Short Code does not have the required SMS or MMS capability."),
    30409: (409, "Message {sid} cannot be canceled: it is final already"),
}

UNDELIVERED = {
    21610: "WebhookCall to send to unsubscribed recipient",
    21703: "The Messaging Service does not have a sender that can reach the recipient",
    30001: "Queue overflow",
    30003: "Unreachable destination handset",
    30004: "Message blocked",
    30005: "Unknown destination handset",
    30006: "Landline or unreachable carrier",
    30007: "Message filtered",
    30008: "Unknown error",
    30011: "MMS not supported by the receiving phone number in this region",
    30017: "Carrier network congestion",
    30019: "Content size exceeds carrier limit",
    30022: "US A2P 10DLC rate limits exceeded",
    30023: "US A2P 10DLC daily message cap reached",
    30024: "Numeric sender ID not provisioned on carrier",
    30032: "Toll-free number has not been verified",
    30034: "US A2P 10DLC message from an unregistered number",
    30410: "Provider timeout",
}
"""Why an accepted message is not delivered: the codes of status callbacks (facts 7.1)."""


def rejection(code: int, **details: str) -> ApiRejection:
    """Return the error with this code; ``details`` fill the placeholders in its message."""
    status, message = _REJECTIONS[code]
    return ApiRejection(code, status, message.format_map(details))
