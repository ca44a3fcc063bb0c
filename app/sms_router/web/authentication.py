"""The gate: every webhook proves that it is Twilio's before anything else looks at it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from starlette.types import Receive, Scope

from sms_router.twilio.form import MalformedFormError, first_values, parse_form
from sms_router.twilio.signature import Parameters, SignatureVerdict, SignatureVerifier, SignedRequest
from sms_router.twilio.signature_diagnosis import diagnose
from sms_router.web import metrics
from sms_router.web.http import Headers, Rejection, is_form, read_body, read_headers
from sms_router.web.rejections import RejectionLog

log = logging.getLogger("sms_router.gate")

DIAGNOSES_A_SECOND = 3


class VerifiedRequest(NamedTuple):
    """A request that is Twilio's (or let through by ``signature = "warn"``)."""

    raw: bytes
    """The parameters as they came: the body of a POST, the query of a GET."""
    parameters: dict[str, str]
    """The first value of each name."""


class WebhookAuthenticator:
    """Reads and verifies webhooks."""

    def __init__(
        self,
        verifier: SignatureVerifier,
        enforce: bool,
        clock: Callable[[], float],
        refusals: RejectionLog | None = None,
    ) -> None:
        """``clock`` gives seconds; it only paces the diagnosis of refusals."""
        self.refusals = refusals or RejectionLog(clock)
        self._verifier = verifier
        self._enforce = enforce
        self._clock = clock
        self._second = 0
        self._diagnosed = 0
        accounts = tuple(verifier.credentials)
        self._only_account = accounts[0] if len(accounts) == 1 else ""

    async def authenticate(self, scope: Scope, receive: Receive) -> VerifiedRequest | Rejection:
        """Return the parameters of a genuine request, or why it is refused."""
        headers = read_headers(scope)
        method = scope["method"]
        if method == "POST":
            if not is_form(headers):
                return Rejection.WRONG_MEDIA_TYPE
            raw = await read_body(headers, receive)
            if isinstance(raw, Rejection):
                return raw
        elif method == "GET":
            raw = scope["query_string"]
            if len(raw) > 65_536:
                return Rejection.TOO_LARGE
        else:
            return Rejection.WRONG_METHOD
        try:
            pairs = parse_form(raw)
        except MalformedFormError:
            return Rejection.MALFORMED
        parameters = first_values(pairs)
        signed = _signed(scope, headers, pairs if method == "POST" else ())
        return self._judge(signed, VerifiedRequest(raw, parameters))

    def _judge(self, signed: SignedRequest, genuine: VerifiedRequest) -> VerifiedRequest | Rejection:
        account_sid = genuine.parameters.get("AccountSid") or self._only_account
        verdict = self._verifier.verify(signed, account_sid)
        if verdict.is_valid:
            return genuine
        self._log_diagnosis(signed, account_sid, verdict)
        if self._enforce:
            return Rejection.BAD_SIGNATURE
        metrics.UNSIGNED.labels(verdict.name.lower()).inc()
        return genuine

    def _log_diagnosis(self, signed: SignedRequest, account_sid: str, verdict: SignatureVerdict) -> None:
        """Log what would have matched, a few times a second at the most; a flood stays cheap."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._diagnosed = second, 0
        if self._diagnosed < DIAGNOSES_A_SECOND:
            self._diagnosed += 1
            refused = "refused" if self._enforce else 'would be refused (signature = "warn" lets it in)'
            sentence, diagnosis = verdict.sentence, diagnose(self._verifier, signed, account_sid)
            why = diagnosis if diagnosis.startswith(sentence) else f"{sentence}; {diagnosis}"
            log.warning("a request %s: %s", refused, why)
            if self._enforce:
                self.refusals.record_reason(Rejection.BAD_SIGNATURE.word, why)


def _signed(scope: Scope, headers: Headers, parameters: Parameters) -> SignedRequest:
    return SignedRequest(
        scope.get("raw_path") or scope["path"].encode(),
        scope["query_string"],
        parameters,
        _text(headers.get(b"x-twilio-signature")),
        None,
        _text(headers.get(b"x-twilio-webhooks-signature-settings")),
        _text(headers.get(b"host")),
    )


def _text(value: bytes | None) -> str | None:
    return value.decode("latin-1") if value is not None else None
