"""``senders``, ``membership show``."""

from __future__ import annotations

import json

from tests.cli.conftest import Cli, Serving


def test_senders_before_the_first_start_are_those_of_the_sandbox(cli: Cli) -> None:
    senders = json.loads(cli("senders", "--json").out)
    assert [(each["number"], each["kind"], each["country"], each["sends"]) for each in senders] == [
        ("12345", "short code", "US", "SMS+MMS"),
        ("+14155550100", "long code", "US", "SMS+MMS"),
        ("+12125550100", "long code", "US", "SMS+MMS"),
        ("+16475550100", "long code", "CA", "SMS"),
        ("+18885550100", "toll-free number", "US", "SMS+MMS"),
    ]


def test_senders_with_a_running_router_are_the_same(cli: Cli, serving: Serving) -> None:
    before = json.loads(cli("senders", "--json").out)
    read = json.loads(cli("senders", "--json", inside=serving.folder, **serving.environment).out)
    assert before[0]["number"] == read[0]["number"] == "12345"
    assert sorted(before, key=str) == sorted(read, key=str)


def test_senders_fit_80_columns(cli: Cli) -> None:
    result = cli("senders")
    assert "+18885550100   toll-free number   US        SMS+MMS" in result.out
    assert max(map(len, result.out.splitlines())) <= 80


def test_membership_shows_each_service(cli: Cli, serving: Serving) -> None:
    result = cli("membership", "show", "--json", inside=serving.folder, **serving.environment)
    (service,) = json.loads(result.out)
    port = serving.environment["PORT"]
    assert service["inbound_request_url"] == f"http://127.0.0.1:{port}/sms"
    assert service["senders"] == 5
    assert service["use_inbound_webhook_on_number"] is False
    result = cli("membership", "show", inside=serving.folder, **serving.environment)
    assert f"http://127.0.0.1:{port}/sms/fallback" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
