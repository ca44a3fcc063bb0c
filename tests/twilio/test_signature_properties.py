"""The verifier against Twilio's own library, against forgeries, and against noise."""

from __future__ import annotations

import hmac
from base64 import b64encode
from dataclasses import dataclass, replace
from urllib.parse import quote

from hypothesis import assume, example, given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from sms_router.twilio.signature import (
    Algorithm,
    Credentials,
    HmacKey,
    Parameters,
    SignatureVerdict,
    SignatureVerifier,
    SignedRequest,
    sign,
)
from sms_router.twilio.signature_diagnosis import diagnose

ACCOUNT = "AC" + "1" * 32
SETTINGS = "key=k,algorithm=HMAC_SHA256"

tokens = st.text("0123456789abcdef", min_size=1, max_size=32)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.sampled_from(["Body", "From", "To", "ReasonX", "Reason", "body", "", "é", "🎈"]) | texts
forms = st.lists(st.tuples(names, texts), max_size=8)
hosts = st.sampled_from(["sms.example.com", "Sms.Example.com", "10.0.0.1", "localhost"])
origins = st.builds(
    lambda scheme, host, port: f"{scheme}://{host}{port}",
    st.sampled_from(["http", "https"]),
    hosts,
    st.just("") | st.integers(1, 65535).map(":{}".format),
)
# A text with letters of every kind, as it can stand on the wire.
wire = st.text(max_size=12).filter(lambda text: text.isprintable()).map(lambda text: quote(text, safe="/"))
paths = wire.map(lambda path: "/" + path.lstrip("/"))
queries = st.just("") | wire.map(lambda value: f"a={value}")


class Form:
    """A form as frameworks hand it to Twilio's library."""

    def __init__(self, pairs: Parameters) -> None:
        self.pairs = pairs

    def __iter__(self) -> object:
        return iter([name for name, _ in self.pairs])

    def __len__(self) -> int:
        return len(self.pairs)

    def getlist(self, name: str) -> list[str]:
        return [value for one, value in self.pairs if one == name]


@dataclass(frozen=True, slots=True)
class Call:
    """A request to be signed."""

    origin: str
    path: str
    query: str
    form: Parameters
    token: str

    @property
    def url(self) -> str:
        return f"{self.origin}{self.path}?{self.query}" if self.query else f"{self.origin}{self.path}"

    def signed(self, signature: str, algorithm: Algorithm = Algorithm.SHA1) -> SignedRequest:
        named = SETTINGS if algorithm is Algorithm.SHA256 else None
        return SignedRequest(self.path.encode(), self.query.encode(), self.form, signature, settings=named)


calls = st.builds(Call, origins, paths, queries, forms, tokens)
algorithms = st.sampled_from(Algorithm)


def verifier_for(origin: str, token: str) -> SignatureVerifier:
    return SignatureVerifier(origin, {ACCOUNT: Credentials(ACCOUNT, (token,), {"k": token})})


@given(calls, algorithms)
def test_what_twilios_library_signs_is_valid_here(call: Call, algorithm: Algorithm) -> None:
    theirs = RequestValidator(call.token).compute_signature(call.url, Form(call.form), algorithm.value)
    verifier = verifier_for(call.origin, call.token)
    assert verifier.verify(call.signed(theirs, algorithm), ACCOUNT).is_valid


@given(calls, algorithms)
def test_what_is_signed_here_is_valid_for_twilios_library(call: Call, algorithm: Algorithm) -> None:
    ours = sign(call.url, call.form, call.token, algorithm)
    assert RequestValidator(call.token).validate(call.url, Form(call.form), ours, algorithm.value)


@given(calls, st.data())
def test_both_give_the_same_verdict_on_another_requests_signature(call: Call, data: st.DataObject) -> None:
    changed = data.draw(st.sampled_from([{"origin"}, {"path"}, {"query"}, {"form"}, {"token"}, set[str]()]))
    other = data.draw(calls)
    signed = replace(call, **{name: getattr(other, name) for name in changed})
    signature = sign(signed.url, signed.form, signed.token)
    ours = verifier_for(call.origin, call.token).verify(call.signed(signature), ACCOUNT)
    assert ours.is_valid is RequestValidator(call.token).validate(call.url, Form(call.form), signature)


@given(origins, forms, tokens, st.data())
def test_a_change_anywhere_makes_a_request_invalid(
    origin: str, form: Parameters, token: str, data: st.DataObject
) -> None:
    signed = sign(f"{origin}/sms/x?a=bc", form, token)
    request = SignedRequest(b"/sms/x", b"a=bc", tuple(form), signed)
    verifier = verifier_for(origin, token)
    assert verifier.verify(request, ACCOUNT).is_valid
    assert not verifier.verify(data.draw(forgeries(request)), ACCOUNT).is_valid


@st.composite
def forgeries(draw: st.DrawFn, request: SignedRequest) -> SignedRequest:
    part = draw(st.sampled_from(["path", "query", "signature", "name", "value", "added", "json"]))
    if part == "path":
        return request._replace(path=draw(flipped(request.path)))
    if part == "query":
        return request._replace(query=draw(flipped(request.query)))
    if part == "signature":
        return request._replace(signature=draw(flipped((request.signature or "").encode())).decode("latin-1"))
    if part == "json":
        return request._replace(json_body=draw(st.binary()))
    pairs = list(request.parameters)
    if part == "added" or not pairs:
        return request._replace(parameters=(*pairs, ("Zzz" + draw(texts), draw(texts))))
    place = draw(st.integers(0, len(pairs) - 1))
    name, value = pairs[place]
    pairs[place] = (name + "~", value) if part == "name" else (name, value + "~")
    # Twilio signs no boundary between names and values, nor a repeated pair twice: the same text
    # from other pairs is the same request to it.
    assume(sign("http://x", pairs, "t") != sign("http://x", request.parameters, "t"))
    return request._replace(parameters=tuple(pairs))


@st.composite
def flipped(draw: st.DrawFn, raw: bytes) -> bytes:
    place = draw(st.integers(0, len(raw) - 1))
    changed = bytearray(raw)
    changed[place] ^= draw(st.integers(1, 255))
    return bytes(changed)


noise = st.builds(
    SignedRequest,
    path=st.binary(max_size=20) | st.binary(max_size=20).map(b"/".__add__),
    query=st.binary(max_size=40) | st.binary(max_size=9).map(b"bodySHA256=".__add__),
    parameters=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=5),
    signature=st.none() | st.text(max_size=50) | st.text("aA+/=\ud800é", min_size=28, max_size=28),
    json_body=st.none() | st.binary(max_size=20),
    settings=st.none() | st.just(SETTINGS) | st.text(max_size=30) | st.text("key=,algorithm HMAC_SHA1"),
    host_header=st.none() | st.text(max_size=20),
)


@given(noise, st.just(ACCOUNT) | st.text(max_size=5))
def test_noise_is_invalid_and_never_an_exception(request: SignedRequest, account_sid: str) -> None:
    verifier = verifier_for("https://sms.example.com", "0" * 32)
    verdict = verifier.verify(request, account_sid)
    assert isinstance(verdict, SignatureVerdict)
    assert not verdict.is_valid
    assert diagnose(verifier, request, account_sid)


@given(st.text(max_size=30) | st.text("htps:/@[]:0123456789.x?#", max_size=30).map("https://".__add__))
def test_any_public_url_is_parsed_or_refused_with_a_sentence(text: str) -> None:
    try:
        verifier = SignatureVerifier(text, {})
    except ValueError as refused:
        assert str(refused).startswith("PUBLIC_URL")
    else:
        assert "@" not in str(verifier.public_url).partition("://")[2].partition("/")[0]


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=300), st.sampled_from(["sha1", "sha256"]))
@example(b"k" * 64, b"text", "sha1")
@example(b"k" * 65, b"text", "sha1")
def test_a_key_computes_the_hmac_of_the_standard_library(secret: bytes, text: bytes, digest: str) -> None:
    key = HmacKey(secret, digest)
    for _ in range(2):
        assert key.base64(text) == b64encode(hmac.digest(secret, text, digest))
