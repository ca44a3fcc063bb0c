"""Which files are a team's own."""

from __future__ import annotations

import asyncio

import pytest
import redis

import sms_router
from sms_router.routing.handler.inspection import is_of_team


@pytest.mark.parametrize(
    ("file", "of_team"),
    [
        (asyncio.__file__, False),
        (redis.__file__, False),
        ("/usr/lib/python3/dist-packages/acme.py", False),
        (sms_router.__file__, False),
        ("<frozen importlib._bootstrap>", False),
        (__file__, True),
        ("/srv/shop/handlers/order.py", True),
        (sms_router.__file__.replace("sms_router/", "sms_router_shop/"), True),
    ],
)
def test_libraries_and_the_router_are_not_of_the_team(file: str, of_team: bool) -> None:
    assert is_of_team(file) is of_team
