"""The vectors of Twilio's own libraries and pages, each through the verifier."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sms_router.twilio.signature import (
    Credentials,
    HmacKey,
    SignatureVerdict,
    SignatureVerifier,
    SignedRequest,
    sign,
    signed_text,
)

ACCOUNT = "AC" + "0" * 32
FIXTURE = Path(__file__).parent.parent / "fixtures" / "signature-vectors.json"

OTHERWISE = {
    "userinfo-user-and-password-kept": (
        SignatureVerdict.WRONG_SIGNATURE,
        "signed with the user name in the URL, which Twilio drops before signing (facts 2.2)",
    ),
    "userinfo-user-and-password-with-std-port": (
        SignatureVerdict.WRONG_SIGNATURE,
        "signed with the user name in the URL, which Twilio drops before signing (facts 2.2)",
    ),
    "csharp-legacy-base64-body-hash": (
        SignatureVerdict.TWO_BODIES,
        "the form before hex hashes, with the hash as a parameter beside a raw body; not implemented",
    ),
}
"""Vectors that are valid for the library they come from and not for Twilio's requests."""


@dataclass(frozen=True, slots=True)
class Vector:
    name: str
    token: str
    url: str
    parameters: tuple[tuple[str, str], ...]
    json_body: bytes | None
    signature: str
    valid: bool

    @property
    def public_url(self) -> str:
        split = urlsplit(self.url)
        return f"{split.scheme}://{split.netloc}"

    def request(self) -> SignedRequest:
        split = urlsplit(self.url)
        return SignedRequest(
            path=split.path.encode(),
            query=split.query.encode(),
            parameters=self.parameters,
            signature=self.signature,
            json_body=self.json_body,
        )


def pairs(parameters: dict[str, str | list[str] | None] | None) -> tuple[tuple[str, str], ...]:
    """Flatten a vector's parameters; null stands for an empty value, as Java's library reads it."""
    result = []
    for name, value in (parameters or {}).items():
        values = value if isinstance(value, list) else [value or ""]
        result += [(name, value) for value in values]
    return tuple(result)


def load(url_key: str = "url") -> list[Vector]:
    entries = json.loads(FIXTURE.read_text(encoding="utf-8"))["vectors"]
    return [
        Vector(
            name=entry["name"],
            token=entry["token"],
            url=entry[url_key],
            parameters=pairs(entry["params"]),
            json_body=entry["raw_body"].encode() if "raw_body" in entry else None,
            signature=entry["signature"],
            valid=entry["expect_valid"],
        )
        for entry in entries
        if url_key in entry and entry["token"] is not None
    ]


VECTORS = load()


def by_name(vector: Vector) -> str:
    return vector.name


def verifier_for(vector: Vector) -> SignatureVerifier:
    return SignatureVerifier(vector.public_url, {ACCOUNT: Credentials(ACCOUNT, (vector.token,))})


@pytest.mark.parametrize("vector", VECTORS, ids=by_name)
def test_every_published_vector_gets_its_verdict(vector: Vector) -> None:
    verdict = verifier_for(vector).verify(vector.request(), ACCOUNT)
    if vector.name in OTHERWISE:
        assert verdict is OTHERWISE[vector.name][0]
    else:
        assert verdict.is_valid is vector.valid


def test_only_the_vector_without_a_published_token_is_left_out() -> None:
    entries = json.loads(FIXTURE.read_text(encoding="utf-8"))["vectors"]
    assert {entry["name"] for entry in entries} - {vector.name for vector in VECTORS} == {
        "docs-sdk-sample-form"
    }


def test_a_rewritten_query_is_valid_as_it_was_on_the_wire() -> None:
    (vector,) = load("signed_url")
    assert verifier_for(vector).verify(vector.request(), ACCOUNT).is_valid


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if "user:pass@" in vector.url], ids=by_name)
def test_vectors_with_a_user_name_are_signed_over_it_and_ours_are_not(vector: Vector) -> None:
    port = ":443" if vector.name.endswith("std-port") else ""
    url = vector.url.replace("mycompany.com", f"mycompany.com{port}").encode()
    assert (
        HmacKey(vector.token.encode(), "sha1").base64(url + signed_text(vector.parameters)).decode()
        == vector.signature
    )
    without = vector.url.replace("user:pass@", "")
    assert sign(vector.url, vector.parameters, vector.token) == sign(without, vector.parameters, vector.token)


@pytest.mark.parametrize(
    ("name", "json_body", "expected"),
    [
        ("json-body-only-query-param", None, SignatureVerdict.PRIMARY_TOKEN),
        ("json-body-only-query-param", b"{}", SignatureVerdict.WRONG_BODY_HASH),
        ("form-post-basic", b"{}", SignatureVerdict.TWO_BODIES),
    ],
)
def test_a_vector_with_another_body(name: str, json_body: bytes | None, expected: SignatureVerdict) -> None:
    (vector,) = (vector for vector in VECTORS if vector.name == name)
    split = urlsplit(vector.url)
    request = SignedRequest(
        split.path.encode(), split.query.encode(), vector.parameters, vector.signature, json_body
    )
    assert verifier_for(vector).verify(request, ACCOUNT) is expected


SIGNED_AS_GIVEN = [
    vector
    for vector in VECTORS
    if vector.valid
    and vector.name not in OTHERWISE
    and vector.name
    not in {
        "http-std-port-added",
        "go-https-port-stripped",
        "go-http-port-given",
        "query-special-characters",  # signed with %27 where its URL has an apostrophe (facts 11)
    }
]


@pytest.mark.parametrize("vector", SIGNED_AS_GIVEN, ids=by_name)
def test_signing_gives_the_published_signature(vector: Vector) -> None:
    assert sign(vector.url, vector.parameters, vector.token) == vector.signature


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("http-std-port-added", "http://mycompany.com:80/myapp.php?foo=1&bar=2"),
        ("go-https-port-stripped", "https://mycompany.com/myapp.php?foo=1&bar=2"),
        ("go-http-port-given", "http://mycompany.com/myapp.php?foo=1&bar=2"),
    ],
)
def test_signing_the_other_port_form_gives_the_published_signature(name: str, url: str) -> None:
    (vector,) = (vector for vector in VECTORS if vector.name == name)
    assert sign(url, vector.parameters, vector.token) == vector.signature
