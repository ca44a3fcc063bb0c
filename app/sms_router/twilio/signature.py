"""Signs and verifies webhooks: the ``X-Twilio-Signature`` header (facts 2).

The signed text is the URL that Twilio called, followed by every form parameter as name and value, ordered
by name. The URL is built from the configured public URL and the raw path and query of the request, never
from a URL that a framework has rebuilt. A malformed request gets a verdict, never an exception.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import b2a_base64
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple

from sms_router.twilio.form import MalformedFormError, Pairs, parse_form
from sms_router.twilio.public_url import PublicUrl

Parameters = Collection[tuple[str, str]]
"""The names and values of a form, in any order."""

_QUERY, _FRAGMENT = b"?#"

_USERINFO = re.compile(r"^(https?://)[^/?#]*@", re.IGNORECASE)


class Algorithm(Enum):
    """The hash of a signature; the values are those of the signature settings header."""

    SHA1 = "HMAC_SHA1"
    SHA256 = "HMAC_SHA256"

    @property
    def digest(self) -> str:
        """The algorithm's name in ``hashlib``."""
        return self.name.lower()

    @property
    def signature_length(self) -> int:
        """Characters of a signature in Base64."""
        return 28 if self is Algorithm.SHA1 else 44


class HmacKey:
    """A secret whose part of the HMAC is computed once (RFC 2104).

    ``hmac.digest`` prepares the key for each text. A router verifies every webhook with one of a handful
    of keys, and this takes half the time; tests compare it with ``hmac``.

    Args:
        secret: the key.
        digest: an algorithm's name in ``hashlib``, such as ``sha1``.

    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, secret: bytes, digest: str) -> None:
        block = hashlib.new(digest).block_size
        key = hashlib.new(digest, secret).digest() if len(secret) > block else secret
        padded = key.ljust(block, b"\0")
        self._inner = hashlib.new(digest, bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.new(digest, bytes(byte ^ 0x5C for byte in padded))

    def base64(self, text: bytes) -> bytes:
        """Return the HMAC of a text in Base64."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return b2a_base64(outer.digest(), newline=False)


def sign(url: str, parameters: Parameters, secret: str, algorithm: Algorithm = Algorithm.SHA1) -> str:
    """Return the signature that Twilio sends with a request.

    Args:
        url: a user name, a password and connection overrides (``#rc=2``) are not signed, a port is
            (facts 1.4, 2.2).
        parameters: those of the form; none for GET.
        secret: the auth token or the secret of the shared key.
        algorithm: SHA-1 unless a shared key asks for another.

    Raises:
        ValueError: when the secret is empty, or a text cannot be encoded as UTF-8.

    """
    if not secret:
        raise ValueError("the secret is empty: use the account's auth token")
    signed_url = _USERINFO.sub(r"\1", url.partition("#")[0])
    key = HmacKey(secret.encode(), algorithm.digest)
    return key.base64(signed_url.encode() + signed_text(parameters)).decode()


def signed_text(parameters: Parameters) -> bytes:
    """Return the form as it is signed: names in code point order, each followed by its value.

    A repeated name contributes each different value once, in order, as in Twilio's Python and Node
    libraries (facts 2.1).
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
    """Return a function that puts names followed by values into the signed order; None if a name repeats.

    It is cached because webhooks of one kind have the same names.
    """
    if len(set(names)) < len(names):
        return None
    order = sorted(range(len(names)), key=names.__getitem__)
    return itemgetter(*chain.from_iterable((place, len(names) + place) for place in order))


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets with which Twilio signs the webhooks of one account.

    Args:
        account_sid: the account.
        tokens: the primary and, during a rotation, the secondary auth token (facts 2.3).
        shared_keys: the secrets of shared keys by their ids.

    Raises:
        ValueError: when there is no secret, or one is invalid: with an empty secret anybody could sign
            (facts 2.4), and white space around it is a copying mistake.

    """

    account_sid: str
    tokens: tuple[str, ...] = field(repr=False)
    shared_keys: Mapping[str, str] = field(repr=False, default_factory=dict)

    def __post_init__(self) -> None:
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
    """The parts of a request that take part in its verification."""

    path: bytes
    """Raw, as in ``scope["raw_path"]``: not decoded and without the query."""
    query: bytes
    """Raw, as in ``scope["query_string"]``."""
    parameters: Parameters
    """Those of the form; empty for GET, whose parameters are signed as part of the query."""
    signature: str | None
    """``X-Twilio-Signature``; several headers are joined with commas."""
    json_body: bytes | None = None
    """The raw body if its media type is JSON."""
    settings: str | None = None
    """``X-Twilio-Webhooks-Signature-Settings``."""
    host_header: str | None = None
    """For `sms_router.twilio.signature_diagnosis` only; the verdict does not depend on it."""
    method: str = "POST"
    """For `sms_router.twilio.signature_diagnosis` only."""

    def __repr__(self) -> str:
        """Leave out the parameters and the signature, which logs must not contain."""
        return f"SignedRequest(path={self.path!r}, settings={self.settings!r}, host={self.host_header!r})"


class SignatureVerdict(Enum):
    """Whether a request is signed by Twilio, and the reason as a sentence for the log."""

    PRIMARY_TOKEN = (True, "signed with the primary token")
    SECONDARY_TOKEN = (True, "signed with the secondary token")
    SHARED_KEY = (True, "signed with a shared key")
    MISSING_SIGNATURE = (False, "no X-Twilio-Signature header")
    TWO_SIGNATURES = (False, "more than one X-Twilio-Signature header")
    MALFORMED_SIGNATURE = (False, "the signature has the wrong length")
    WRONG_SIGNATURE = (False, "the signature does not match the request")
    UNKNOWN_ACCOUNT = (False, "no token is configured for this AccountSid")
    MISSING_ACCOUNT = (False, "the request has no AccountSid, and several accounts are configured")
    NO_TOKEN = (False, "the account has shared keys only, and the request names none")
    MALFORMED_SETTINGS = (False, "the signature settings header does not name one key and one algorithm")
    UNKNOWN_SHARED_KEY = (False, "the named shared key is not configured")
    UNSUPPORTED_ALGORITHM = (False, "the named algorithm is not supported")
    MALFORMED_PATH = (False, "the path does not begin with / or contains ? or #")
    MALFORMED_PARAMETERS = (False, "a parameter cannot be encoded as UTF-8")
    TWO_BODIES = (False, "a form and a JSON body at once")
    MISSING_BODY_HASH = (False, "a JSON body without bodySHA256")
    WRONG_BODY_HASH = (False, "the JSON body does not match bodySHA256")

    def __init__(self, valid: bool, sentence: str) -> None:
        self.is_valid = valid
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class _Signer:
    """One secret, and the verdict on a request that is signed with it."""

    key: HmacKey = field(repr=False)
    length: int
    verdict: SignatureVerdict


def _signer(secret: str, algorithm: Algorithm, verdict: SignatureVerdict) -> _Signer:
    return _Signer(HmacKey(secret.encode(), algorithm.digest), algorithm.signature_length, verdict)


class SignatureVerifier:
    """Verifies requests with the secrets of each account.

    Args:
        public_url: the URL that Twilio calls, without the router's own path.
        credentials: by AccountSid.

    Raises:
        ValueError: when the public URL is invalid; the text contains the remedy.

    """

    def __init__(self, public_url: str, credentials: Mapping[str, Credentials]) -> None:
        self.public_url = PublicUrl.parse(public_url)
        self.credentials = MappingProxyType(dict(credentials))
        self._prefixes = tuple(form.encode() for form in self.public_url.forms)
        self._tokens = {sid: _token_signers(account) for sid, account in self.credentials.items()}

    def verify(self, request: SignedRequest, account_sid: str) -> SignatureVerdict:
        """Return whether the request is signed with a secret of the account; never raises."""
        signature = request.signature
        if not signature:
            return SignatureVerdict.MISSING_SIGNATURE
        signers = self._signers(request, account_sid)
        if isinstance(signers, SignatureVerdict):
            return signers
        malformed = _malformed(request, signature, signers[0].length)
        if malformed is not None:
            return malformed
        try:
            form = signed_text(request.parameters)
        except UnicodeEncodeError:
            return SignatureVerdict.MALFORMED_PARAMETERS
        received = signature.encode()
        for url in self._urls(request):
            for signer in signers:
                if hmac.compare_digest(signer.key.base64(url + form), received):
                    return signer.verdict if request.json_body is None else _body_verdict(request, signer)
        return SignatureVerdict.WRONG_SIGNATURE

    def _signers(self, request: SignedRequest, account_sid: str) -> tuple[_Signer, ...] | SignatureVerdict:
        tokens = self._tokens.get(account_sid)
        if tokens is None:
            return SignatureVerdict.UNKNOWN_ACCOUNT if account_sid else SignatureVerdict.MISSING_ACCOUNT
        if request.settings:
            return _shared_key_signer(request.settings, self.credentials[account_sid].shared_keys)
        return tokens or SignatureVerdict.NO_TOKEN

    def _urls(self, request: SignedRequest) -> Iterator[bytes]:
        """Yield the URLs that Twilio may have signed for this request, the most likely one first.

        A server cannot distinguish ``/sms?`` from ``/sms``: without a query, the URL with a bare ``?`` is
        tried last. Only a holder of the secret can sign that text. It is ambiguous between a query and a
        form, but so is the text without it (a name may start with ``?``), so that this is no weakness.
        """
        if not request.query:
            for end in (b"", b"?"):
                for prefix in self._prefixes:
                    yield prefix + request.path + end
            return
        for query in query_spellings(request.query):
            for prefix in self._prefixes:
                yield prefix + request.path + b"?" + query


def query_spellings(query: bytes) -> tuple[bytes, ...]:
    """Return the query, and the same with each apostrophe as ``'`` and as ``%27``.

    Twilio may sign one spelling and send the other (facts 11). Both mean the same parameters.
    """
    if b"'" not in query and b"%27" not in query:
        return (query,)
    literal = query.replace(b"%27", b"'")
    return tuple(dict.fromkeys((query, literal, literal.replace(b"'", b"%27"))))


def _token_signers(account: Credentials) -> tuple[_Signer, ...]:
    verdicts = (SignatureVerdict.PRIMARY_TOKEN, SignatureVerdict.SECONDARY_TOKEN)
    return tuple(
        _signer(token, Algorithm.SHA1, verdict)
        for token, verdict in zip(account.tokens, verdicts, strict=False)
    )


def _shared_key_signer(settings: str, keys: Mapping[str, str]) -> tuple[_Signer, ...] | SignatureVerdict:
    """Parse ``key=…,algorithm=…``. Other names are ignored; a missing or empty algorithm means SHA-1."""
    pairs = [part.partition("=") for part in settings.split(",")]
    key = [value.strip() for name, _, value in pairs if name.strip() == "key"]
    algorithm = [value.strip().upper() for name, _, value in pairs if name.strip() == "algorithm"]
    if len(key) != 1 or len(algorithm) > 1:
        return SignatureVerdict.MALFORMED_SETTINGS
    if key[0] not in keys:
        return SignatureVerdict.UNKNOWN_SHARED_KEY
    try:
        parsed = Algorithm(algorithm[0]) if any(algorithm) else Algorithm.SHA1
    except ValueError:
        return SignatureVerdict.UNSUPPORTED_ALGORITHM
    return (_signer(keys[key[0]], parsed, SignatureVerdict.SHARED_KEY),)


def _malformed(request: SignedRequest, signature: str, length: int) -> SignatureVerdict | None:
    """Return the verdict on a request that needs no computation."""
    if "," in signature:
        return SignatureVerdict.TWO_SIGNATURES
    if len(signature) != length or not signature.isascii():
        return SignatureVerdict.MALFORMED_SIGNATURE
    if not request.path.startswith(b"/") or _QUERY in request.path or _FRAGMENT in request.path:
        return SignatureVerdict.MALFORMED_PATH
    if request.json_body is None:
        return None
    if request.parameters:
        return SignatureVerdict.TWO_BODIES
    return SignatureVerdict.MISSING_BODY_HASH if _signed_body_hash(request.query) is None else None


def _body_verdict(request: SignedRequest, signer: _Signer) -> SignatureVerdict:
    """Compare a JSON body, which is not part of the signed text, with its signed hash (facts 2.1)."""
    assert request.json_body is not None
    signed = _signed_body_hash(request.query) or ""
    actual = hashlib.sha256(request.json_body).hexdigest()
    matches = hmac.compare_digest(actual.encode(), signed.encode())
    return signer.verdict if matches else SignatureVerdict.WRONG_BODY_HASH


def _signed_body_hash(query: bytes) -> str | None:
    """Return ``bodySHA256`` from the query; of several, the first (facts 2.4)."""
    try:
        return next((value for name, value in parse_form(query) if name == "bodySHA256"), None)
    except MalformedFormError:
        return None
