from __future__ import annotations

import pytest

from sms_router.web.console.auth import is_same_origin

PUBLIC = "https://sms.example.com"


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": PUBLIC}, False),
        ({"origin": PUBLIC, "host": "127.0.0.1:8000"}, True),
        ({"origin": "http://10.0.0.5:9000", "host": "10.0.0.5:9000"}, True),
        ({"origin": "https://evil.example", "host": "sms.example.com"}, False),
        ({"origin": "https://sms.example.com.evil.example", "host": "sms.example.com"}, False),
        ({"origin": "https://evil.example", "host": ""}, False),
        ({"origin": "http://[x", "host": "10.0.0.5:9000"}, False),
        ({"origin": "http://a[::1]", "host": "10.0.0.5:9000"}, False),
        ({"origin": "nonsense", "host": ""}, False),
        ({"origin": "null", "host": "10.0.0.5:9000"}, True),
        ({}, True),
    ],
)
def test_forms_of_the_same_origin_are_accepted(headers: dict[str, str], ours: bool) -> None:
    assert is_same_origin(headers, PUBLIC) is ours
