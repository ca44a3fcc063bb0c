"""What is wrong when a signature does not fit: one sentence for the log.

Most refused requests are Twilio's own, seen through a proxy or a wrong setting. This tries the
variants of the request that such mistakes make and names the one that was signed. It changes no
verdict, its work is bounded, and the sentence holds only what the configuration holds: no secret,
signature, number or text of the request.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, product
from urllib.parse import unquote_to_bytes

from sms_router.twilio.form import MalformedFormError, parse_form
from sms_router.twilio.public_url import PublicUrl, parse_authority
from sms_router.twilio.signature import (
    Algorithm,
    Parameters,
    SignatureVerifier,
    SignedRequest,
    Verdict,
    compute,
    signed_text,
)

MOST_HASHED = 4_000_000
"""Bytes of signed text for one sentence: thousands of attempts on a usual message, a few
milliseconds on the largest."""

_USUAL_PATHS = ("/twilio", "/sms", "/api", "/webhooks", "/webhook", "/messaging", "/sms-router")
"""What proxies like to cut off; the request itself no longer tells."""

_OPTIONAL = tuple(f"{end}{part}" for end in ("From", "To") for part in ("City", "State", "Zip", "Country"))
"""Parameters that Twilio often sends empty (facts 1.2), the first to go when a proxy drops blanks."""

_REMEDIES = {
    Verdict.MISSING_SIGNATURE: "the request is not Twilio's, or a proxy drops the header and should pass it",
    Verdict.TWO_SIGNATURES: "a proxy adds one, or somebody tries; Twilio sends one",
    Verdict.MALFORMED_SIGNATURE: (
        "the request is not Twilio's, or the settings header names another algorithm"
    ),
    Verdict.UNKNOWN_ACCOUNT: "if the account is yours, add it with its own token to [[accounts]]",
    Verdict.NO_TOKEN: "add its auth token, or let the proxy pass X-Twilio-Webhooks-Signature-Settings",
    Verdict.MALFORMED_SETTINGS: "a proxy changes the header, or the request is not Twilio's",
    Verdict.UNKNOWN_SHARED_KEY: "if the key is yours, add it and its secret to the account",
    Verdict.UNSUPPORTED_ALGORITHM: "set HMAC_SHA1 or HMAC_SHA256 for the key at Twilio",
    Verdict.MALFORMED_PATH: "the request is not Twilio's",
    Verdict.MALFORMED_PARAMETERS: "the request is not Twilio's",
    Verdict.TWO_BODIES: "the request is not Twilio's",
    Verdict.MISSING_BODY_HASH: "a proxy changes the media type or the query, or the request is not Twilio's",
    Verdict.WRONG_BODY_HASH: "a proxy changes the body and should pass it as it is",
}

_NOT_SEARCHED = frozenset(
    {
        Verdict.TWO_SIGNATURES,
        Verdict.MALFORMED_PATH,
        Verdict.MALFORMED_PARAMETERS,
        Verdict.TWO_BODIES,
        Verdict.WRONG_BODY_HASH,
    }
)
"""No other reading of the request could explain these."""

_UNKNOWN = (
    "no known variant of the request matches: likely the token is not the one of this account, PUBLIC_URL is "
    "not the URL at Twilio, a proxy changes the form, or the request is not Twilio's"
)

_SIGNER = "{signer}"
"""Stands in a sentence for the name of the secret that signed."""

_OTHER_ACCOUNT = (
    f"the request was signed with {_SIGNER}, not with a secret of the account that it names: give each "
    "account in [[accounts]] its own token, because Twilio signs with the subaccount's"
)


_WITHOUT_FORM = (
    "the URL was signed without the form, as for GET or JSON: set the webhook's method to POST, or stop what "
    "turns its body into a form"
)

_QUERY_AS_FORM = "the query was signed as a form: something turns Twilio's POST into a GET, often a redirect"


@dataclass(frozen=True, slots=True)
class _Signer:
    name: str
    account_sid: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Variant:
    """A text that may have been signed, and the sentence if it was."""

    text: bytes = field(repr=False)
    signers: Sequence[_Signer]
    sentence: str


def diagnose(verifier: SignatureVerifier, request: SignedRequest, account_sid: str) -> str:
    """Return one sentence: what was signed instead of the request as seen, and what to change.

    ``request.host_header`` helps to find a wrong PUBLIC_URL. Raises nothing.
    """
    verdict = verifier.verify(request, account_sid)
    if verdict.valid:
        return f"the request is valid: {verdict.sentence}"
    remedy = _REMEDIES.get(verdict)
    plain = _UNKNOWN if remedy is None else f"{verdict.sentence}: {remedy}"
    signature = request.signature or ""
    algorithm = next((one for one in Algorithm if one.signature_length == len(signature)), None)
    if algorithm is None or not signature.isascii() or verdict in _NOT_SEARCHED:
        return plain
    first = plain if verdict is Verdict.MISSING_BODY_HASH else _other_secret(request)
    variants = _variants(verifier, request, account_sid, first)
    return _search(variants, signature.encode(), algorithm) or plain


def _search(variants: Iterator[_Variant], signature: bytes, algorithm: Algorithm) -> str | None:
    left = MOST_HASHED
    for variant in variants:
        for signer in variant.signers:
            left -= len(variant.text)
            if left < 0:
                return None
            if hmac.compare_digest(compute(signer.secret, variant.text, algorithm.digest), signature):
                return variant.sentence.replace(_SIGNER, signer.name)
    return None


def _variants(
    verifier: SignatureVerifier, request: SignedRequest, account_sid: str, as_it_came: str
) -> Iterator[_Variant]:
    """Yield what may have been signed, one mistake at a time, the usual mistakes first.

    ``as_it_came`` is the sentence when one of the account's secrets signed the request unchanged.
    """
    signers = _signers(verifier)
    own = [signer for signer in signers if signer.account_sid == account_sid]
    others = [signer for signer in signers if signer.account_sid != account_sid]
    configured = verifier.public_url
    form, target = _joined(request.parameters), _target(request.path, request.query)
    here = [url.encode() for url in configured.forms]
    yield from (_Variant(url + target + form, own, as_it_came) for url in here)
    for public_url in _public_urls(configured, request.host_header):
        text = str(public_url).encode() + target + form
        yield _Variant(text, own, _moved(configured, public_url))
    for rest, sentence in chain(_forms(request, target), _targets(request, form), _query_as_form(request)):
        yield from (_Variant(url + rest, own, sentence) for url in here)
    yield from (_Variant(url + target + form, others, _OTHER_ACCOUNT) for url in here)


def _signers(verifier: SignatureVerifier) -> list[_Signer]:
    signers = []
    for sid, account in verifier.credentials.items():
        tokens = zip(("primary", "secondary"), account.tokens, strict=False)
        named = [(f"the {rank} token of {sid}", token) for rank, token in tokens]
        named += [(f"the shared key {key} of {sid}", secret) for key, secret in account.shared_keys.items()]
        signers += [_Signer(name, sid, secret.encode()) for name, secret in named]
    return signers


def _other_secret(request: SignedRequest) -> str:
    if request.settings:
        return f"the request was signed with {_SIGNER}, not as its settings header says: a proxy changes it"
    return f"the request was signed with {_SIGNER}: let the proxy pass X-Twilio-Webhooks-Signature-Settings"


def _public_urls(configured: PublicUrl, host_header: str | None) -> Iterator[PublicUrl]:
    """Yield what PUBLIC_URL might have to be: other schemes, hosts, ports and paths."""
    parts = configured.path.split("/")
    paths = ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
    schemes = (configured.scheme, *({"http", "https"} - {configured.scheme}))
    places = list(dict.fromkeys(_places(configured, host_header)))
    guesses = [configured.path + path for path in _USUAL_PATHS]
    for path, (host, port), scheme in product([*paths, *guesses], places, schemes):
        moved = PublicUrl(scheme, host, port, path)
        yield moved
        if port is None:
            yield replace(moved, port=443 if scheme == "https" else 80)


def _places(configured: PublicUrl, host_header: str | None) -> Iterator[tuple[str, int | None]]:
    yield configured.host, configured.port
    yield configured.host, None
    yield configured.host.lower(), configured.port
    try:
        host, port = parse_authority(host_header or "")
    except ValueError:
        return
    yield host, port
    yield host, None
    yield configured.host, port
    yield host, configured.port


def _moved(configured: PublicUrl, signed: PublicUrl) -> str:
    differences = (
        ("scheme", configured.scheme != signed.scheme),
        ("host", configured.host != signed.host),
        ("port", configured.port != signed.port),
        ("path", configured.path != signed.path),
    )
    names = " and ".join(name for name, differs in differences if differs)
    return f"Twilio called another {names}: PUBLIC_URL should be {signed}"


def _forms(request: SignedRequest, target: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield the request with other readings of its body, and what they would mean."""
    pairs = list(request.parameters)
    if pairs:
        yield target, _WITHOUT_FORM
    if request.json_body is not None:
        form = _joined(_parsed(request.json_body))
        yield target + form, "the body was signed as a form: a proxy changes its media type to JSON"
    for sentence, changed in _edited(pairs):
        yield target + _joined(changed), sentence


def _edited(pairs: list[tuple[str, str]]) -> Iterator[tuple[str, Parameters]]:
    trimmed = "the values were signed {}: whatever sends or passes the form trims its values and should not"
    yield trimmed.format("without the blanks around them"), [(name, value.strip()) for name, value in pairs]
    for before, after in (("", " "), (" ", ""), ("", "\n"), ("", "\r\n")):
        longer = [(name, before + value + after if name == "Body" else value) for name, value in pairs]
        yield trimmed.format("with a blank around the Body"), longer
    dropped = "the form was signed {} its empty values: a proxy or the sender drops them and should not"
    yield dropped.format("without"), [(name, value) for name, value in pairs if value]
    names = {name for name, _ in pairs}
    for optional in (_OPTIONAL, (*_OPTIONAL, "Body"), ("Body",)):
        yield dropped.format("with"), pairs + [(name, "") for name in optional if name not in names]
    plus = [(name, re.sub(r"^ (?=\d)", "+", value)) for name, value in pairs]
    yield "the plus signs of the numbers arrived as blanks: send them as %2B", plus
    once = "only one value of each repeated parameter was signed: send no name twice"
    yield once, list(dict(pairs).items())
    yield once, list(dict(reversed(pairs)).items())


def _targets(request: SignedRequest, form: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield the request with its path and query written otherwise, and what that would mean."""
    path, query = request.path, request.query
    slash = "the URL at Twilio {} slash at its end: write it there as this program's path is"
    if path.endswith(b"/"):
        yield _target(path.rstrip(b"/"), query) + form, slash.format("has no")
    yield _target(path + b"/", query) + form, slash.format("has a")
    rewritten = "the {} was signed in another spelling: a proxy {} it and should pass the bytes as they are"
    for changed, verb in ((unquote_to_bytes(path), "encodes"), (re.sub(b"/+", b"/", path), "changes")):
        yield _target(changed, query) + form, rewritten.format("path", verb)
    for changed, verb in _queries(query):
        yield _target(path, changed) + form, rewritten.format("query", verb)
    if query:
        yield path + form, "the URL was signed without its query: a proxy adds one and should not"


def _queries(query: bytes) -> Iterator[tuple[bytes, str]]:
    yield unquote_to_bytes(query.replace(b"+", b" ")), "encodes"
    yield unquote_to_bytes(query), "encodes"
    yield query.replace(b"%27", b"'"), "encodes"
    yield _encoded(query), "decodes"
    yield query.replace(b"%20", b"+"), "encodes"
    yield query.replace(b"+", b"%20"), "decodes"
    yield re.sub(rb"%[0-9A-Fa-f]{2}", lambda escape: escape[0].upper(), query), "changes"
    yield re.sub(rb"%[0-9A-Fa-f]{2}", lambda escape: escape[0].lower(), query), "changes"


def _encoded(query: bytes) -> bytes:
    """Percent-encode what browsers and Node do in a query, the apostrophe among it (facts 2.2)."""
    return re.sub(rb"[^!$-&(-;=?-~]", lambda byte: b"%%%02X" % ord(byte[0]), query)


def _query_as_form(request: SignedRequest) -> Iterator[tuple[bytes, str]]:
    if request.query and not request.parameters:
        yield request.path + _joined(_parsed(request.query)), _QUERY_AS_FORM


def _joined(parameters: Parameters) -> bytes:
    """Return the form as it is signed, or nothing where it is not text."""
    try:
        return signed_text(parameters)
    except UnicodeEncodeError:
        return b""


def _parsed(raw: bytes) -> Parameters:
    try:
        return parse_form(raw)
    except MalformedFormError:
        return []


def _target(path: bytes, query: bytes) -> bytes:
    return path + b"?" + query if query else path
