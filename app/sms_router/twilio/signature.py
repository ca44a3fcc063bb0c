"""Proof that a request is Twilio's: the ``X-Twilio-Signature`` header (facts 2).

The signed text is the URL that Twilio called, then every form parameter as name and value,
ordered by name. The URL is built from the configured public URL and the bytes of the wire,
never from what a framework rebuilt. Anything odd in a request is invalid, never an exception.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple

from sms_router.twilio.form import MalformedFormError, Pairs, parse_form
from sms_router.twilio.keyed import HmacKey
from sms_router.twilio.public_url import PublicUrl

Parameters = Collection[tuple[str, str]]

_QUERY, _FRAGMENT = b"?#"

_USERINFO = re.compile(r"^(https?://)[^/?#]*@", re.IGNORECASE)


class Algorithm(Enum):
    """What Twilio signs with; the values are those of the signature settings header."""

    SHA1 = "HMAC_SHA1"
    SHA256 = "HMAC_SHA256"

    @property
    def digest(self) -> str:
        """The name that ``hmac`` knows it by."""
        return self.name.lower()

    @property
    def signature_length(self) -> int:
        """Characters of a signature in Base64."""
        return 28 if self is Algorithm.SHA1 else 44


def sign(url: str, parameters: Parameters, secret: str, algorithm: Algorithm = Algorithm.SHA1) -> str:
    """Return the signature that Twilio would send with this request.

    ``url`` may carry a user name, a password or connection overrides (``#rc=2``): like Twilio
    (facts 1.4, 2.2) this signs none of them; the port stays. ``parameters`` are the form's
    pairs, none for GET.

    Raises:
        ValueError: when the secret is empty, or something is not encodable as UTF-8.

    """
    if not secret:
        raise ValueError("an empty secret signs nothing: give the account's auth token")
    called = _USERINFO.sub(r"\1", url.partition("#")[0])
    return compute(secret.encode(), called.encode() + signed_text(parameters), algorithm.digest).decode()


def signed_text(parameters: Parameters) -> bytes:
    """Return the form as it is signed: names in code point order, each with its value.

    A repeated name contributes each different value once, in order, as Twilio's Python and
    Node libraries do it (facts 2.1).
    """
    pairs = parameters if isinstance(parameters, Pairs) else Pairs.of(parameters)
    if not pairs.names:
        return b""
    ordered = _order(pairs.names)
    if ordered is None:
        return "".join(chain.from_iterable(sorted(set(pairs)))).encode()
    return "".join(ordered(pairs.names + pairs.values)).encode()


@lru_cache(maxsize=32)
def _order(names: tuple[str, ...]) -> Callable[[tuple[str, ...]], tuple[str, ...]] | None:
    """Return what puts the names of a form, and the values behind them, into the order that is signed.

    Webhooks of one kind share it. None where a name comes twice.
    """
    if len(set(names)) < len(names):
        return None
    order = sorted(range(len(names)), key=names.__getitem__)
    return itemgetter(*chain.from_iterable((place, len(names) + place) for place in order))


def compute(secret: bytes, text: bytes, digest: str) -> bytes:
    """Return the Base64 of the HMAC; ``digest`` is an :attr:`Algorithm.digest`."""
    return HmacKey(secret, digest).base64(text)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one account signs with.

    ``tokens`` are the primary and, while a rotation lasts, the secondary auth token;
    ``shared_keys`` maps a shared key's id to its secret (facts 2.3).

    Raises:
        ValueError: when nothing is given, or a secret could not be right: with an empty one
            anybody could sign (facts 2.4), and blanks around it come from a careless paste.

    """

    account_sid: str
    tokens: tuple[str, ...] = field(repr=False)
    shared_keys: Mapping[str, str] = field(repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse secrets that would let anybody in, or nobody."""
        object.__setattr__(self, "shared_keys", MappingProxyType(dict(self.shared_keys)))
        if not self.tokens and not self.shared_keys:
            raise ValueError(f"account {self.account_sid} has no auth token: set TWILIO_AUTH_TOKEN")
        if len(self.tokens) > 2:
            raise ValueError(f"account {self.account_sid} has more than a primary and a secondary auth token")
        for secret in (*self.tokens, *self.shared_keys.values()):
            if not secret or not secret.isascii() or secret != secret.strip():
                raise ValueError(
                    f"a secret of account {self.account_sid} is empty, or has blanks around it or characters "
                    "that Twilio does not use: copy the auth token again from the Twilio console"
                )


class SignedRequest(NamedTuple):
    """What was on the wire, whatever the method."""

    path: bytes
    """Raw, as in ``scope["raw_path"]``: neither decoded nor with the query."""
    query: bytes
    """Raw, as in ``scope["query_string"]``."""
    parameters: Parameters
    """The form's pairs; empty for GET, whose parameters are signed as part of the query."""
    signature: str | None
    """``X-Twilio-Signature``; when it came more than once, all of them joined with commas."""
    json_body: bytes | None = None
    """The raw body when its media type is JSON."""
    settings: str | None = None
    """``X-Twilio-Webhooks-Signature-Settings``."""
    host_header: str | None = None
    """Only for :mod:`sms_router.twilio.signature_diagnosis`; it never takes part in the verdict."""

    def __repr__(self) -> str:
        """Return what may be told: neither what was texted nor the signature."""
        return f"SignedRequest(path={self.path!r}, settings={self.settings!r}, host={self.host_header!r})"


class Verdict(Enum):
    """Whether a request is Twilio's, and why, in words for the log."""

    PRIMARY_TOKEN = (True, "signed with the primary token")
    SECONDARY_TOKEN = (True, "signed with the secondary token")
    SHARED_KEY = (True, "signed with a shared key")
    MISSING_SIGNATURE = (False, "no X-Twilio-Signature header")
    TWO_SIGNATURES = (False, "more than one X-Twilio-Signature header")
    MALFORMED_SIGNATURE = (False, "the signature does not have the length of one")
    WRONG_SIGNATURE = (False, "the signature does not fit the request")
    UNKNOWN_ACCOUNT = (False, "no token is configured for this AccountSid")
    NO_TOKEN = (False, "the account has shared keys only, and the request names none")
    MALFORMED_SETTINGS = (False, "the signature settings header does not name one key and one algorithm")
    UNKNOWN_SHARED_KEY = (False, "the named shared key is not configured")
    UNSUPPORTED_ALGORITHM = (False, "the named algorithm is not supported")
    MALFORMED_PATH = (False, "the path is not one")
    MALFORMED_PARAMETERS = (False, "a parameter is not text")
    TWO_BODIES = (False, "a form and a JSON body at once")
    MISSING_BODY_HASH = (False, "a JSON body without bodySHA256")
    WRONG_BODY_HASH = (False, "the JSON body does not have the hash that was signed")

    def __init__(self, valid: bool, sentence: str) -> None:
        """``valid`` when the request is proven to be Twilio's."""
        self.valid = valid
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class _Signer:
    """One secret, and the verdict when it is the one that signed."""

    key: HmacKey = field(repr=False)
    length: int
    verdict: Verdict


def _signer(secret: str, algorithm: Algorithm, verdict: Verdict) -> _Signer:
    return _Signer(HmacKey(secret.encode(), algorithm.digest), algorithm.signature_length, verdict)


class SignatureVerifier:
    """Checks requests against the public URL and the secrets of each account.

    Raises:
        ValueError: when the public URL is not one, with the remedy.

    """

    def __init__(self, public_url: str, credentials: Mapping[str, Credentials]) -> None:
        """Take the URL that Twilio calls, up to our own path, and credentials by AccountSid."""
        self.public_url = PublicUrl.parse(public_url)
        self.credentials = MappingProxyType(dict(credentials))
        self._prefixes = tuple(form.encode() for form in self.public_url.forms)
        self._tokens = {sid: _token_signers(account) for sid, account in self.credentials.items()}

    def verify(self, request: SignedRequest, account_sid: str) -> Verdict:
        """Say whether the account's secrets signed this request; raises nothing."""
        signature = request.signature
        if not signature:
            return Verdict.MISSING_SIGNATURE
        signers = self._signers(request, account_sid)
        if isinstance(signers, Verdict):
            return signers
        oddity = _oddity(request, signature, signers[0].length)
        if oddity is not None:
            return oddity
        try:
            form = signed_text(request.parameters)
        except UnicodeEncodeError:
            return Verdict.MALFORMED_PARAMETERS
        return self._compare(request, form, signers, signature.encode())

    def _signers(self, request: SignedRequest, account_sid: str) -> tuple[_Signer, ...] | Verdict:
        tokens = self._tokens.get(account_sid)
        if tokens is None:
            return Verdict.UNKNOWN_ACCOUNT
        if request.settings:
            return _shared_key_signer(request.settings, self.credentials[account_sid].shared_keys)
        return tokens or Verdict.NO_TOKEN

    def _compare(
        self, request: SignedRequest, form: bytes, signers: tuple[_Signer, ...], signature: bytes
    ) -> Verdict:
        for url in self._urls(request):
            for signer in signers:
                expected = signer.key.base64(url + form)
                if hmac.compare_digest(expected, signature):
                    return _body_verdict(request, signer.verdict)
        return Verdict.WRONG_SIGNATURE

    def _urls(self, request: SignedRequest) -> Iterator[bytes]:
        """Yield the URLs that Twilio may have signed for this request, the usual one first.

        A server cannot tell ``/sms?`` from ``/sms``, so without a query the bare ``?`` is tried
        last. Only a holder of the secret can sign that text. It can be read as a query instead of a
        form, but so can the text without it (a name may start with ``?``): nothing is given away.
        """
        target = request.path + b"?" + request.query if request.query else request.path
        for prefix in self._prefixes:
            yield prefix + target
        if not request.query:
            for prefix in self._prefixes:
                yield prefix + target + b"?"


def _token_signers(account: Credentials) -> tuple[_Signer, ...]:
    verdicts = (Verdict.PRIMARY_TOKEN, Verdict.SECONDARY_TOKEN)
    return tuple(
        _signer(token, Algorithm.SHA1, verdict)
        for token, verdict in zip(account.tokens, verdicts, strict=False)
    )


def _shared_key_signer(settings: str, keys: Mapping[str, str]) -> tuple[_Signer, ...] | Verdict:
    """Read ``key=…,algorithm=…``; other names are Twilio's to add, no algorithm means SHA-1."""
    pairs = [part.partition("=") for part in settings.split(",")]
    key = [value.strip() for name, _, value in pairs if name.strip() == "key"]
    algorithm = [value.strip().upper() for name, _, value in pairs if name.strip() == "algorithm"]
    if len(key) != 1 or len(algorithm) > 1:
        return Verdict.MALFORMED_SETTINGS
    if key[0] not in keys:
        return Verdict.UNKNOWN_SHARED_KEY
    try:
        chosen = Algorithm(algorithm[0]) if algorithm else Algorithm.SHA1
    except ValueError:
        return Verdict.UNSUPPORTED_ALGORITHM
    return (_signer(keys[key[0]], chosen, Verdict.SHARED_KEY),)


def _oddity(request: SignedRequest, signature: str, length: int) -> Verdict | None:
    """Return what refuses a request before anything is computed."""
    if "," in signature:
        return Verdict.TWO_SIGNATURES
    if len(signature) != length or not signature.isascii():
        return Verdict.MALFORMED_SIGNATURE
    if not request.path.startswith(b"/") or _QUERY in request.path or _FRAGMENT in request.path:
        return Verdict.MALFORMED_PATH
    if request.json_body is None:
        return None
    if request.parameters:
        return Verdict.TWO_BODIES
    return Verdict.MISSING_BODY_HASH if _signed_body_hash(request.query) is None else None


def _body_verdict(request: SignedRequest, verdict: Verdict) -> Verdict:
    """Hold a JSON body, which is not in the signed text, against its signed hash (facts 2.1)."""
    if request.json_body is None:
        return verdict
    signed = _signed_body_hash(request.query) or ""
    actual = sha256(request.json_body).hexdigest()
    matches = hmac.compare_digest(actual.encode(), signed.encode())
    return verdict if matches else Verdict.WRONG_BODY_HASH


def _signed_body_hash(query: bytes) -> str | None:
    """Return ``bodySHA256`` from the query; of two the first counts (facts 2.4)."""
    try:
        return next((value for name, value in parse_form(query) if name == "bodySHA256"), None)
    except MalformedFormError:
        return None
