from __future__ import annotations

import hmac
from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st

from sms_router.twilio.keyed import HmacKey


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=300), st.sampled_from(["sha1", "sha256"]))
def test_it_is_the_hmac_of_the_standard_library(secret: bytes, text: bytes, digest: str) -> None:
    keyed = HmacKey(secret, digest)
    for _ in range(2):
        assert keyed.base64(text) == b64encode(hmac.digest(secret, text, digest))
