"""Explains a signature that does not match: one sentence for the log with the cause and the remedy.

Most refused requests come from Twilio, but a proxy has changed them or a setting is wrong. The diagnosis
computes the signature of the variants that such mistakes produce and names the one that matches. It never
changes a verdict, its work is bounded, and the sentence contains only values of the configuration: no
secret, signature, number or text of the request.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, permutations, product
from urllib.parse import unquote_to_bytes

from sms_router.twilio.form import MalformedFormError, parse_form
from sms_router.twilio.public_url import PublicUrl, parse_authority
from sms_router.twilio.signature import (
    Algorithm,
    HmacKey,
    Parameters,
    SignatureVerdict,
    SignatureVerifier,
    SignedRequest,
    query_spellings,
    signed_text,
)

MAX_HASHED_BYTES = 4_000_000
"""Bytes of signed text per diagnosis: thousands of variants of a usual message; a few milliseconds."""

MAX_REORDERED_PARAMETERS = 4
"""Parameters of a configured query whose orders are all tried: 24 of them."""

_COMMON_PREFIXES = ("/twilio", "/sms", "/api", "/webhooks", "/webhook", "/messaging", "/sms-router")
"""Path prefixes that proxies often remove."""

_OPTIONAL_PARAMETERS = tuple(
    f"{end}{part}" for end in ("From", "To") for part in ("City", "State", "Zip", "Country")
)
"""Parameters that Twilio often sends empty (facts 1.2); a proxy may remove them."""

_REMEDIES = {
    SignatureVerdict.MISSING_SIGNATURE: (
        "the request is not from Twilio, or a proxy removes the header and must pass it"
    ),
    SignatureVerdict.TWO_SIGNATURES: "a proxy adds one, or the request is not from Twilio, which sends one",
    SignatureVerdict.MALFORMED_SIGNATURE: (
        "the request is not from Twilio, or the settings header names another algorithm"
    ),
    SignatureVerdict.UNKNOWN_ACCOUNT: "if it is your account, add it with its own token to [[accounts]]",
    SignatureVerdict.MISSING_ACCOUNT: (
        "Twilio always sends one, so a proxy changes the form, or the request is not from Twilio"
    ),
    SignatureVerdict.NO_TOKEN: (
        "add its auth token, or let the proxy pass X-Twilio-Webhooks-Signature-Settings"
    ),
    SignatureVerdict.MALFORMED_SETTINGS: "a proxy changes the header, or the request is not from Twilio",
    SignatureVerdict.UNKNOWN_SHARED_KEY: "if it is your key, add it and its secret to the account",
    SignatureVerdict.UNSUPPORTED_ALGORITHM: "set HMAC_SHA1 or HMAC_SHA256 for the key at Twilio",
    SignatureVerdict.MALFORMED_PATH: "the request is not from Twilio",
    SignatureVerdict.MALFORMED_PARAMETERS: "the request is not from Twilio",
    SignatureVerdict.TWO_BODIES: "the request is not from Twilio",
    SignatureVerdict.MISSING_BODY_HASH: (
        "a proxy changes the media type or the query, or the request is not from Twilio"
    ),
    SignatureVerdict.WRONG_BODY_HASH: "a proxy changes the body and must pass it unchanged",
}

_WITHOUT_VARIANTS = frozenset(
    {
        SignatureVerdict.TWO_SIGNATURES,
        SignatureVerdict.MALFORMED_PATH,
        SignatureVerdict.MALFORMED_PARAMETERS,
        SignatureVerdict.TWO_BODIES,
        SignatureVerdict.WRONG_BODY_HASH,
    }
)
"""Verdicts that no variant of the request can explain."""

_UNKNOWN = (
    "no known variant of the request matches: probably the token belongs to another account, PUBLIC_URL is "
    "not the URL at Twilio, a proxy changes the form, or the request is not from Twilio"
)

_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z_.-]{0,30}")

_SIGNER = "{signer}"
"""Placeholder in a sentence for the name of the secret that signed the request."""

_OTHER_ACCOUNT = (
    f"the request was signed with {_SIGNER}, not with a secret of the account that it names: give each "
    "account in [[accounts]] its own token, because Twilio signs with the subaccount's"
)


_UNNAMED_ACCOUNT = (
    f"the request was signed with {_SIGNER} and has no AccountSid: a proxy changes the form, or the URL is "
    "set for something else than messages at Twilio"
)

_TWILIO_PARAMETERS = frozenset({"MessageSid", "SmsSid", "AccountSid", "From", "To", "Body", "MessageStatus"})
"""Some of these are in each webhook about a message (facts 1.2, 7)."""

_REDIRECTED = (
    "Twilio signed a {method} without parameters: a redirect in front of the router (from http to https, or "
    "to a path with or without a slash at its end) drops them; set the URL at Twilio to the one that "
    "needs no redirect, which begins with {public_url}"
)

_REMEDIES_WITHOUT_PARAMETERS = {
    "GET": (
        "the GET has none of Twilio's parameters, and its signature matches no known URL: a redirect in "
        "front of the router turns Twilio's POST into a GET and drops them (set the URL at Twilio to the one "
        "that needs no redirect, which begins with {public_url}), or the request is not from Twilio"
    ),
    "POST": (
        "the POST has no form, and its signature matches no known URL without one: a proxy in front of the "
        "router drops the body and must pass it unchanged, or the request is not from Twilio"
    ),
}
"""What is known about a signed request without parameters that matches no variant, by method."""

_WITHOUT_FORM = (
    "the URL was signed without the form, as for GET or JSON: set the webhook's method to POST, or find the "
    "proxy that turns its body into a form"
)

_QUERY_AS_FORM = "the query was signed as a form: a redirect or a proxy turns Twilio's POST into a GET"


@dataclass(frozen=True, slots=True)
class _NamedSecret:
    name: str
    account_sid: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Variant:
    """A text that may have been signed, and the sentence if it was."""

    text: bytes = field(repr=False)
    signers: Sequence[_NamedSecret]
    sentence: str


def diagnose(verifier: SignatureVerifier, request: SignedRequest, account_sid: str) -> str:
    """Return a sentence: how the signed request differs from the received one, and what to change.

    ``request.host_header`` helps to find a wrong PUBLIC_URL. Never raises.
    """
    verdict = verifier.verify(request, account_sid)
    if verdict.is_valid:
        return f"the request is valid: {verdict.sentence}"
    remedy = _REMEDIES.get(verdict)
    default = _UNKNOWN if remedy is None else f"{verdict.sentence}: {remedy}"
    signature = request.signature or ""
    algorithm = next((one for one in Algorithm if one.signature_length == len(signature)), None)
    if algorithm is None or not signature.isascii() or verdict in _WITHOUT_VARIANTS:
        return default
    if has_no_parameters(request):
        return _diagnose_without_parameters(verifier, request, signature.encode(), algorithm)
    unchanged = default if verdict is SignatureVerdict.MISSING_BODY_HASH else _other_secret(request)
    variants = _variants(verifier, request, account_sid, unchanged)
    return _search(variants, signature.encode(), algorithm) or default


def has_no_parameters(request: SignedRequest) -> bool:
    """Return whether there is neither a form nor a body, and none of Twilio's parameters in the query."""
    if request.parameters or request.json_body is not None:
        return False
    return _TWILIO_PARAMETERS.isdisjoint(name for name, _ in _parsed(request.query))


def describe_redirect(verifier: SignatureVerifier, method: str) -> str:
    """Return the sentence for a request that Twilio has signed and that has none of its parameters."""
    return _REDIRECTED.format(method=method, public_url=verifier.public_url)


def _diagnose_without_parameters(
    verifier: SignatureVerifier, request: SignedRequest, signature: bytes, algorithm: Algorithm
) -> str:
    """Diagnose a request that names no account; a URL that was signed alone shows a redirect (facts 11)."""
    signers = _signers(verifier)
    target = _target(request.path, request.query)
    configured = [url.encode() for url in verifier.public_url.forms]
    others = [str(url).encode() for url in _public_urls(verifier.public_url, request.host_header)]
    texts = chain(
        (url + target for url in (*configured, *others)),
        (url + rest for rest, _ in _targets(request, b"") for url in configured),
    )
    sentence = describe_redirect(verifier, request.method)
    variants = (_Variant(text, signers, sentence) for text in texts)
    unknown = _REMEDIES_WITHOUT_PARAMETERS.get(request.method, _UNKNOWN)
    return _search(variants, signature, algorithm) or unknown.format(public_url=verifier.public_url)


def _search(variants: Iterator[_Variant], signature: bytes, algorithm: Algorithm) -> str | None:
    budget = MAX_HASHED_BYTES
    keys: dict[bytes, HmacKey] = {}
    for variant in variants:
        for signer in variant.signers:
            budget -= len(variant.text)
            if budget < 0:
                return None
            key = keys.get(signer.secret) or HmacKey(signer.secret, algorithm.digest)
            keys[signer.secret] = key
            if hmac.compare_digest(key.base64(variant.text), signature):
                return variant.sentence.replace(_SIGNER, signer.name)
    return None


def _variants(
    verifier: SignatureVerifier, request: SignedRequest, account_sid: str, unchanged: str
) -> Iterator[_Variant]:
    """Yield texts that may have been signed, with one mistake each, the most common mistakes first.

    ``unchanged`` is the sentence for the request as it was received.
    """
    signers = _signers(verifier)
    own = [signer for signer in signers if account_sid in (signer.account_sid, "")]
    others = [signer for signer in signers if signer not in own]
    unchanged = unchanged if account_sid else _UNNAMED_ACCOUNT
    configured = verifier.public_url
    form, target = _signed_text(request.parameters), _target(request.path, request.query)
    configured_urls = [url.encode() for url in configured.forms]
    yield from (_Variant(url + target + form, own, unchanged) for url in configured_urls)
    targets = [_target(request.path, query) for query in query_spellings(request.query)]
    for public_url in _public_urls(configured, request.host_header):
        url, sentence = str(public_url).encode(), _public_url_sentence(configured, public_url)
        yield from (_Variant(url + spelling + form, own, sentence) for spelling in targets)
    for rest, sentence in chain(_forms(request, target), _targets(request, form), _query_as_form(request)):
        yield from (_Variant(url + rest, own, sentence) for url in configured_urls)
    for spelling, url in product(targets, configured_urls):
        yield _Variant(url + spelling + form, others, _OTHER_ACCOUNT)
    for query in chain.from_iterable(map(_orders, query_spellings(request.query))) if form else ():
        rest = _target(request.path, query) + form
        yield from (_Variant(url + rest, own, _order_sentence(request.query)) for url in configured_urls)


def _signers(verifier: SignatureVerifier) -> list[_NamedSecret]:
    signers = []
    for sid, account in verifier.credentials.items():
        tokens = zip(("primary", "secondary"), account.tokens, strict=False)
        named = [(f"the {rank} token of {sid}", token) for rank, token in tokens]
        named += [(f"the shared key {key} of {sid}", secret) for key, secret in account.shared_keys.items()]
        signers += [_NamedSecret(name, sid, secret.encode()) for name, secret in named]
    return signers


def _other_secret(request: SignedRequest) -> str:
    if request.settings:
        return f"the request was signed with {_SIGNER}, not as its settings header states: a proxy changes it"
    return f"the request was signed with {_SIGNER}: let the proxy pass X-Twilio-Webhooks-Signature-Settings"


def _public_urls(configured: PublicUrl, host_header: str | None) -> Iterator[PublicUrl]:
    """Yield other values of PUBLIC_URL: other schemes, hosts, ports and paths."""
    parts = configured.path.split("/")
    paths = ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
    schemes = (configured.scheme, *({"http", "https"} - {configured.scheme}))
    hosts = list(dict.fromkeys(_hosts(configured, host_header)))
    longer = [configured.path + prefix for prefix in _COMMON_PREFIXES]
    for path, (host, port), scheme in product([*paths, *longer], hosts, schemes):
        public_url = PublicUrl(scheme, host, port, path)
        yield public_url
        if port is None:
            yield replace(public_url, port=443 if scheme == "https" else 80)


def _hosts(configured: PublicUrl, host_header: str | None) -> Iterator[tuple[str, int | None]]:
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


def _public_url_sentence(configured: PublicUrl, signed: PublicUrl) -> str:
    names = ("scheme", "host", "port", "path")
    different = " and ".join(name for name in names if getattr(configured, name) != getattr(signed, name))
    return f"Twilio called another {different}: PUBLIC_URL should be {signed}"


def _forms(request: SignedRequest, target: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield the request with other forms, and the sentence if one of them was signed."""
    pairs = list(request.parameters)
    if pairs:
        yield target, _WITHOUT_FORM
    if request.json_body is not None:
        form = _signed_text(_parsed(request.json_body))
        yield target + form, "the body was signed as a form: a proxy changes its media type to JSON"
    for sentence, changed in _changed_forms(pairs):
        yield target + _signed_text(changed), sentence


def _changed_forms(pairs: list[tuple[str, str]]) -> Iterator[tuple[str, Parameters]]:
    trimmed = "the values were signed {}: the sender or a proxy trims the values of the form and must not"
    yield trimmed.format("without the blanks around them"), [(name, value.strip()) for name, value in pairs]
    for before, after in (("", " "), (" ", ""), ("", "\n"), ("", "\r\n")):
        longer = [(name, before + value + after if name == "Body" else value) for name, value in pairs]
        yield trimmed.format("with a blank around the Body"), longer
    dropped = "the form was signed {} its empty values: the sender or a proxy removes them and must not"
    yield dropped.format("without"), [(name, value) for name, value in pairs if value]
    names = {name for name, _ in pairs}
    for optional in (_OPTIONAL_PARAMETERS, (*_OPTIONAL_PARAMETERS, "Body"), ("Body",)):
        yield dropped.format("with"), pairs + [(name, "") for name in optional if name not in names]
    plus = [(name, re.sub(r"^ (?=\d)", "+", value)) for name, value in pairs]
    yield "the plus signs of the numbers were decoded as blanks: send them as %2B", plus
    once = "only one value of each repeated parameter was signed: do not repeat a name"
    yield once, list(dict(pairs).items())
    yield once, list(dict(reversed(pairs)).items())


def _targets(request: SignedRequest, form: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield the request with other paths and queries, and the sentence if one of them was signed."""
    path, query = request.path, request.query
    slash = "the URL at Twilio {} slash at its end: write it as the router's path is"
    if path.endswith(b"/"):
        yield _target(path.rstrip(b"/"), query) + form, slash.format("has no")
    yield _target(path + b"/", query) + form, slash.format("has a")
    rewritten = "the {} was signed in another spelling: a proxy {} it and must pass it unchanged"
    for changed, verb in ((unquote_to_bytes(path), "encodes"), (re.sub(b"/+", b"/", path), "changes")):
        yield _target(changed, query) + form, rewritten.format("path", verb)
    for changed, verb in _queries(query):
        yield _target(path, changed) + form, rewritten.format("query", verb)
    if query:
        yield path + form, "the URL was signed without its query: a proxy adds one and must not"


def _queries(query: bytes) -> Iterator[tuple[bytes, str]]:
    yield unquote_to_bytes(query.replace(b"+", b" ")), "encodes"
    yield unquote_to_bytes(query), "encodes"
    yield _encoded(query), "decodes"
    yield query.replace(b"%20", b"+"), "encodes"
    yield query.replace(b"+", b"%20"), "decodes"
    yield re.sub(rb"%[0-9A-Fa-f]{2}", lambda escape: escape[0].upper(), query), "changes"
    yield re.sub(rb"%[0-9A-Fa-f]{2}", lambda escape: escape[0].lower(), query), "changes"


def _orders(query: bytes) -> Iterator[bytes]:
    """Yield the query with its parameters in each other order: Twilio sorts it and signs it unsorted."""
    parts = query.split(b"&")
    if len(parts) <= MAX_REORDERED_PARAMETERS:
        yield from (b"&".join(order) for order in permutations(parts) if order != tuple(parts))


def _order_sentence(query: bytes) -> str:
    names = [part.partition(b"=")[0].decode("latin-1") for part in query.split(b"&")]
    order = f": {', '.join(names)}" if all(_PLAIN_NAME.fullmatch(name) for name in names) else ""
    return (
        "the query of the URL was signed in another order: Twilio sorts the parameters when it calls, and "
        f"signs them as they are configured; configure them in the order in which they arrive here{order}"
    )


def _encoded(query: bytes) -> bytes:
    """Percent-encode the characters that browsers and Node encode in a query, such as ``'`` (facts 2.2)."""
    return re.sub(rb"[^!$-&(-;=?-~]", lambda byte: b"%%%02X" % ord(byte[0]), query)


def _query_as_form(request: SignedRequest) -> Iterator[tuple[bytes, str]]:
    if request.query and not request.parameters:
        yield request.path + _signed_text(_parsed(request.query)), _QUERY_AS_FORM


def _signed_text(parameters: Parameters) -> bytes:
    """Return the form as it is signed; empty if it cannot be encoded."""
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
