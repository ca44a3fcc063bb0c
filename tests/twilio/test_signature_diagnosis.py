from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.twilio.signature import (
    Algorithm,
    Credentials,
    Parameters,
    SignatureVerifier,
    SignedRequest,
    sign,
)
from sms_router.twilio.signature_diagnosis import diagnose

ACCOUNT, OTHER, KEYS_ONLY, STRANGER = (f"AC{digit * 32}" for digit in "1234")
PRIMARY, SECONDARY, OTHERS, KEY_SECRET = "p" * 32, "s" * 32, "o" * 32, "k" * 40
KEY = "webhooks_sharedkey_1"
FORM = (
    ("Body", " private words "),
    ("From", "+14155550100"),
    ("To", "12345"),
    ("FromCity", ""),
)
CREDENTIALS = {
    ACCOUNT: Credentials(ACCOUNT, (PRIMARY, SECONDARY), {KEY: KEY_SECRET}),
    OTHER: Credentials(OTHER, (OTHERS,)),
    KEYS_ONLY: Credentials(KEYS_ONLY, (), {KEY: KEY_SECRET}),
}
NO_MATCH = "no known variant"


def diagnosis_of(
    signed_url: str,
    public_url: str = "https://sms.example.com",
    *,
    account_sid: str = ACCOUNT,
    secret: str = PRIMARY,
    algorithm: Algorithm = Algorithm.SHA1,
    signed_form: Parameters = FORM,
    request: SignedRequest | None = None,
) -> str:
    """Return the diagnosis of a request (to ``/sms`` by default) whose signature is that of other values."""
    request = request or SignedRequest(b"/sms", b"", FORM, None)
    request = request._replace(signature=sign(signed_url, signed_form, secret, algorithm))
    return diagnose(SignatureVerifier(public_url, CREDENTIALS), request, account_sid)


@pytest.mark.parametrize(
    ("signed_url", "public_url", "host_header", "sentence"),
    [
        ("https://sms.example.com/sms", "http://sms.example.com", None,
         "another scheme: PUBLIC_URL should be https://sms.example.com"),
        ("http://sms.example.com/sms", "https://sms.example.com", None,
         "another scheme: PUBLIC_URL should be http://sms.example.com"),
        ("https://a.example:8443/sms", "https://a.example", "a.example:8443",
         "another port: PUBLIC_URL should be https://a.example:8443"),
        ("https://a.example:443/sms", "https://a.example:8443", None,
         "another port: PUBLIC_URL should be https://a.example:443"),
        ("https://abc.tunnel.example/sms", "http://localhost:8000", "abc.tunnel.example",
         "another scheme and host and port: PUBLIC_URL should be https://abc.tunnel.example"),
        ("https://[2001:db8::1]:8443/sms", "https://sms.example.com", "[2001:db8::1]:8443",
         "another host and port: PUBLIC_URL should be https://[2001:db8::1]:8443"),
        ("https://sms.example.com/sms", "https://SMS.example.com", None,
         "another host: PUBLIC_URL should be https://sms.example.com"),
        ("https://sms.example.com/sms", "https://sms.example.com/twilio", None,
         "another path: PUBLIC_URL should be https://sms.example.com"),
        ("https://sms.example.com/sms", "https://sms.example.com/sms", None,
         "another path: PUBLIC_URL should be https://sms.example.com"),
        ("https://sms.example.com/a/sms", "https://sms.example.com/a/{b}", None,
         "another path: PUBLIC_URL should be https://sms.example.com/a"),
        ("https://sms.example.com/twilio/sms", "https://sms.example.com", None,
         "another path: PUBLIC_URL should be https://sms.example.com/twilio"),
        ("http://sms.example.com/sms", "https://sms.example.com/x", None,
         "another scheme and path: PUBLIC_URL should be http://sms.example.com"),
    ],
)  # fmt: skip
def test_a_wrong_public_url_is_reported_with_the_right_one(
    signed_url: str, public_url: str, host_header: str | None, sentence: str
) -> None:
    request = SignedRequest(b"/sms", b"", FORM, None, host_header=host_header)
    assert diagnosis_of(signed_url, public_url, request=request) == f"Twilio called {sentence}"


@pytest.mark.parametrize("host_header", [None, "", "a b", "host:99999", "evil.example/x?", "\ud800", "é"])
def test_an_invalid_host_header_is_ignored(host_header: str | None) -> None:
    request = SignedRequest(b"/sms", b"", FORM, None, host_header=host_header)
    assert diagnosis_of("https://elsewhere.example/sms", request=request).startswith(NO_MATCH)


@pytest.mark.parametrize(
    ("path", "query", "signed", "sentence"),
    [
        (b"/sms", b"", "/sms/", "the URL at Twilio has a slash at its end"),
        (b"/sms/", b"", "/sms", "the URL at Twilio has no slash at its end"),
        (b"/sms/a%20b", b"", "/sms/a b", "the path was signed in another spelling: a proxy encodes it"),
        (b"//sms", b"", "/sms", "the path was signed in another spelling: a proxy changes it"),
        (
            b"/sms",
            b"x=a%20b%2Fc",
            "/sms?x=a b/c",
            "the query was signed in another spelling: a proxy encodes",
        ),
        (b"/sms", b"x=a+b", "/sms?x=a b", "the query was signed in another spelling: a proxy encodes"),
        (b"/sms", b"x=a+b", "/sms?x=a%20b", "the query was signed in another spelling: a proxy decodes"),
        (b"/sms", b"x=a%20b", "/sms?x=a+b", "the query was signed in another spelling: a proxy encodes"),
        (b"/sms", b"x=a%2fb", "/sms?x=a%2Fb", "the query was signed in another spelling: a proxy changes"),
        (b"/sms", b"x=a%2Fb", "/sms?x=a%2fb", "the query was signed in another spelling: a proxy changes"),
        (b"/sms", b"x=1", "/sms", "the URL was signed without its query"),
    ],
)
def test_another_spelling_of_the_path_or_query_is_reported(
    path: bytes, query: bytes, signed: str, sentence: str
) -> None:
    request = SignedRequest(path, query, FORM, None)
    assert diagnosis_of(f"https://sms.example.com{signed}", request=request).startswith(sentence)
    assert diagnosis_of(f"https://sms.example.com:443{signed}", request=request).startswith(sentence)


@pytest.mark.parametrize("on_the_wire", [b"x=It's", b"x=It%27s"])
@pytest.mark.parametrize("signed", ["x=It's", "x=It%27s"])
def test_the_spelling_of_an_apostrophe_is_never_the_cause(on_the_wire: bytes, signed: str) -> None:
    request = SignedRequest(b"/sms", on_the_wire, FORM, None)
    genuine = diagnosis_of(f"https://sms.example.com/sms?{signed}", request=request)
    assert genuine == "the request is valid: signed with the primary token"
    other_scheme = diagnosis_of(f"http://sms.example.com/sms?{signed}", request=request)
    assert other_scheme == "Twilio called another scheme: PUBLIC_URL should be http://sms.example.com"
    signed_url = f"https://sms.example.com/sms?{signed}"
    other_account = diagnosis_of(signed_url, secret=OTHERS, request=request)
    assert other_account.startswith(f"the request was signed with the primary token of {OTHER}")


@pytest.mark.parametrize(
    ("query", "signed", "names"),
    [
        (b"brand=x&team=y", "team=y&brand=x", "brand, team"),
        (b"a=1&b=2&c=3&d=4", "c=3&a=1&d=4&b=2", "a, b, c, d"),
        (b"owner=It%27s&team=y", "team=y&owner=It's", "owner, team"),
    ],
)
def test_a_query_that_twilio_has_sorted_is_reported(query: bytes, signed: str, names: str) -> None:
    request = SignedRequest(b"/sms", query, FORM, None)
    assert diagnosis_of(f"https://sms.example.com/sms?{signed}", request=request) == (
        "the query of the URL was signed in another order: Twilio sorts the parameters when it calls, and "
        "signs them as they are configured; configure them in the order in which they arrive here: " + names
    )


def test_the_order_of_a_query_with_odd_names_is_reported_without_the_names() -> None:
    request = SignedRequest(b"/sms", b"a%0A=1&b=2", FORM, None)
    diagnosis = diagnosis_of("https://sms.example.com/sms?b=2&a%0A=1", request=request)
    assert diagnosis.endswith("configure them in the order in which they arrive here")


REDIRECTED = (
    "without parameters: a redirect in front of the router (from http to https, or to a path with or "
    "without a slash at its end) drops them; set the URL at Twilio to the one that needs no redirect, which "
    "begins with https://sms.example.com"
)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("secret", [PRIMARY, SECONDARY, OTHERS])
@pytest.mark.parametrize(
    ("path", "query", "signed_url"),
    [
        (b"/sms", b"", "https://sms.example.com/sms"),
        (b"/sms", b"", "http://sms.example.com/sms"),
        (b"/sms", b"", "https://sms.example.com/sms/"),
        (b"/sms", b"team=red", "https://sms.example.com/sms?team=red"),
    ],
)
def test_a_redirect_that_drops_the_parameters_is_reported_for_several_accounts(
    method: str, secret: str, path: bytes, query: bytes, signed_url: str
) -> None:
    request = SignedRequest(path, query, (), None, method=method)
    diagnosis = diagnosis_of(signed_url, account_sid="", secret=secret, signed_form=(), request=request)
    assert diagnosis == f"Twilio signed a {method} {REDIRECTED}"


@pytest.mark.parametrize("account_sid", ["", ACCOUNT])
def test_a_redirect_is_not_reported_as_a_wrong_public_url(account_sid: str) -> None:
    request = SignedRequest(b"/sms", b"", (), None, method="GET")
    diagnosis = diagnosis_of(
        "http://sms.example.com/sms", account_sid=account_sid, signed_form=(), request=request
    )
    assert diagnosis == f"Twilio signed a GET {REDIRECTED}"


@pytest.mark.parametrize("account_sid", ["", ACCOUNT])
@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("GET", "the GET has none of Twilio's parameters, and its signature matches no known URL: a"),
        ("POST", "the POST has no form, and its signature matches no known URL without one: a proxy in front"
         " of the router drops the body and must pass it unchanged"),
    ],
)  # fmt: skip
def test_a_request_without_its_parameters_is_reported(account_sid: str, method: str, sentence: str) -> None:
    request = SignedRequest(b"/sms", b"", (), None, method=method)
    diagnosis = diagnosis_of("https://sms.example.com/sms", account_sid=account_sid, request=request)
    assert diagnosis.startswith(sentence)


def test_a_form_without_an_account_is_reported() -> None:
    signed = diagnosis_of("https://sms.example.com/sms", account_sid="")
    assert signed.startswith(
        f"the request was signed with the primary token of {ACCOUNT} and has no AccountSid"
    )
    unknown = diagnosis_of("https://sms.example.com/sms", account_sid="", secret="n" * 32)
    assert unknown.startswith("the request has no AccountSid, and several accounts are configured: Twilio")


BLANKS = tuple(
    (name, "") for name in ("FromState", "FromZip", "FromCountry", "ToCity", "ToState", "ToZip", "ToCountry")
)


def changed(**values: str) -> Parameters:
    return tuple((name, values.get(name, value)) for name, value in FORM)


@pytest.mark.parametrize(
    ("signed_form", "sentence"),
    [
        (changed(Body="private words"), "the values were signed without the blanks around them"),
        (changed(Body=" private words  "), "the values were signed with a blank around the Body"),
        (changed(Body=" private words \r\n"), "the values were signed with a blank around the Body"),
        (FORM[:3], "the form was signed without its empty values"),
        ((*FORM, *BLANKS), "the form was signed with its empty values"),
        ((), "the URL was signed without the form, as for GET or JSON"),
    ],
)  # fmt: skip
def test_another_form_is_reported(signed_form: Parameters, sentence: str) -> None:
    assert diagnosis_of("https://sms.example.com/sms", signed_form=signed_form).startswith(sentence)


@pytest.mark.parametrize(
    ("request_", "signed_form", "sentence"),
    [
        (SignedRequest(b"/sms", b"", (("From", " 14155550100"),), None), (("From", "+14155550100"),),
         "the plus signs of the numbers were decoded as blanks"),
        (SignedRequest(b"/sms", b"", (("a", "2"), ("a", "1")), None), (("a", "1"),),
         "only one value of each repeated parameter"),
        (SignedRequest(b"/sms", b"", (("a", "2"), ("a", "1")), None), (("a", "2"),),
         "only one value of each repeated parameter"),
        (SignedRequest(b"/sms", b"Body=a+b&From=%2B1", (), None), (("Body", "a b"), ("From", "+1")),
         "the query was signed as a form"),
        (SignedRequest(b"/sms", b"", (), None, json_body=b"Body=a+b"), (("Body", "a b"),),
         "the body was signed as a form"),
    ],
)  # fmt: skip
def test_another_encoding_of_the_parameters_is_reported(
    request_: SignedRequest, signed_form: Parameters, sentence: str
) -> None:
    diagnosis = diagnosis_of("https://sms.example.com/sms", request=request_, signed_form=signed_form)
    assert diagnosis.startswith(sentence)


@pytest.mark.parametrize(
    ("account_sid", "secret", "algorithm", "header", "sentence"),
    [
        (ACCOUNT, OTHERS, Algorithm.SHA1, None,
         f"the request was signed with the primary token of {OTHER}, not with a secret of the account"),
        (OTHER, SECONDARY, Algorithm.SHA1, None,
         f"the request was signed with the secondary token of {ACCOUNT}, not with a secret of the account"),
        (STRANGER, PRIMARY, Algorithm.SHA1, None,
         f"the request was signed with the primary token of {ACCOUNT}, not with a secret of the account"),
        (STRANGER, "n" * 32, Algorithm.SHA1, None, "no token is configured for this AccountSid"),
        (ACCOUNT, KEY_SECRET, Algorithm.SHA1, None,
         f"the request was signed with the shared key {KEY} of {ACCOUNT}: let the proxy pass"),
        (ACCOUNT, KEY_SECRET, Algorithm.SHA256, None,
         f"the request was signed with the shared key {KEY} of {ACCOUNT}: let the proxy pass"),
        (ACCOUNT, SECONDARY, Algorithm.SHA1, f"key={KEY},algorithm=HMAC_SHA1",
         f"the request was signed with the secondary token of {ACCOUNT}, not as its settings header states"),
        (ACCOUNT, PRIMARY, Algorithm.SHA1, "key=unknown,algorithm=HMAC_SHA1",
         f"the request was signed with the primary token of {ACCOUNT}, not as its settings header states"),
        (ACCOUNT, "n" * 32, Algorithm.SHA1, "key=unknown,algorithm=HMAC_SHA1",
         "the named shared key is not configured"),
        (ACCOUNT, "n" * 32, Algorithm.SHA1, "nonsense", "the signature settings header does not name"),
        (ACCOUNT, "n" * 32, Algorithm.SHA1, f"key={KEY},algorithm=MD5", "the named algorithm is not"),
        (KEYS_ONLY, "n" * 32, Algorithm.SHA1, None, "the account has shared keys only"),
        (KEYS_ONLY, KEY_SECRET, Algorithm.SHA256, None,
         f"the request was signed with the shared key {KEY} of {KEYS_ONLY}: let the proxy pass"),
        (ACCOUNT, "n" * 32, Algorithm.SHA1, None, NO_MATCH),
    ],
)  # fmt: skip
def test_another_secret_is_reported_by_its_name(
    account_sid: str, secret: str, algorithm: Algorithm, header: str | None, sentence: str
) -> None:
    request = SignedRequest(b"/sms", b"", FORM, None, settings=header)
    diagnosis = diagnosis_of(
        "https://sms.example.com/sms",
        account_sid=account_sid,
        secret=secret,
        algorithm=algorithm,
        request=request,
    )
    assert diagnosis.startswith(sentence)


HASH = sha256(b"{}").hexdigest()


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (SignedRequest(b"/sms", b"", FORM, None), "no X-Twilio-Signature header"),
        (SignedRequest(b"/sms", b"", FORM, "nonsense"), "the signature has the wrong length"),
        (SignedRequest(b"/sms", b"", FORM, "é" * 28), "the signature has the wrong length"),
        (SignedRequest(b"/sms", b"", FORM, "a,b"), "more than one X-Twilio-Signature header"),
        (SignedRequest(b"sms", b"", FORM, "A" * 28), "the path does not begin with / or contains ? or #"),
        (SignedRequest(b"/sms", b"", (("Body", "\ud800"),), "A" * 28),
         "a parameter cannot be encoded as UTF-8"),
        (SignedRequest(b"/sms", b"", FORM, "A" * 28, json_body=b"{}"),
         "a form and a JSON body at once"),
        (SignedRequest(b"/sms", b"", (), "A" * 28, json_body=b"{}"),
         "a JSON body without bodySHA256"),
        (SignedRequest(b"/sms", b"", (), sign("https://sms.example.com/sms", (), PRIMARY), json_body=b"{}"),
         "a JSON body without bodySHA256"),
        (SignedRequest(b"/sms", f"bodySHA256={HASH}".encode(), (),
                       sign(f"https://sms.example.com/sms?bodySHA256={HASH}", (), PRIMARY), json_body=b"{} "),
         "the JSON body does not match bodySHA256"),
        (SignedRequest(b"/sms", b"", FORM, "A" * 28), NO_MATCH),
        (SignedRequest(b"/sms", b"", FORM, sign("https://sms.example.com/sms", FORM, SECONDARY)),
         "the request is valid: signed with the secondary token"),
    ],
)  # fmt: skip
def test_a_verdict_without_variants_is_reported_with_its_reason(
    request_: SignedRequest, sentence: str
) -> None:
    diagnosis = diagnose(SignatureVerifier("https://sms.example.com", CREDENTIALS), request_, ACCOUNT)
    assert diagnosis.startswith(sentence)


def test_the_search_is_bounded_in_bytes() -> None:
    large = tuple((f"Name{index}", "x" * 60) for index in range(1000))
    request = SignedRequest(b"/sms", b"", large, None)
    near = diagnosis_of("http://sms.example.com/sms", request=request, signed_form=large)
    far = diagnosis_of("https://sms.example.com/sms/", request=request, signed_form=large)
    assert near.startswith("Twilio called another scheme")
    assert far.startswith(NO_MATCH)


secrets = (PRIMARY, SECONDARY, OTHERS, KEY_SECRET)
urls = st.sampled_from(
    [
        "http://sms.example.com/sms",
        "https://sms.example.com/sms/",
        "https://sms.example.com/sms",
        "https://other.example:8443/twilio/sms?Body=private",
    ]
)


@given(urls, st.sampled_from(secrets), st.sampled_from(Algorithm), st.sampled_from([FORM, (), FORM[:3]]))
def test_a_diagnosis_contains_no_secret_and_nothing_of_the_message(
    url: str, secret: str, algorithm: Algorithm, signed_form: Parameters
) -> None:
    request = SignedRequest(
        b"/sms", b"Body=private", FORM, None, settings="key=+14155550100", host_header="other.example:8443"
    )
    diagnosis = diagnosis_of(
        url, secret=secret, algorithm=algorithm, signed_form=signed_form, request=request
    )
    for hidden in (*secrets, sign(url, signed_form, secret, algorithm), "private", "4155550100"):
        assert hidden not in diagnosis
    assert "\n" not in diagnosis
