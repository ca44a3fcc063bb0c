"""``check`` with Twilio: its findings, fixes and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from sms_router.sandbox.hosting import free_port
from tests.cli.conftest import Cli
from tests.cli.sandbox_cli import NEW_YORK, PUBLIC, SERVICE, SandboxCli
from tests.store.private_valkey import PrivateValkey


def checked(twilio: SandboxCli, *words: str, code: int, **environment: str) -> dict[str, Any]:
    result = twilio("check", "--json", *words, **environment)
    reported: dict[str, Any] = json.loads(result.out)
    assert (result.code, reported["good"]) == (code, code == 0)
    return reported


def errors(reported: dict[str, Any]) -> list[str]:
    return [each["finding"] for each in reported["findings"] if each["severity"] == "error"]


def test_the_demo_is_good_with_three_notes(twilio: SandboxCli) -> None:
    reported = checked(twilio, code=0)
    assert [each["severity"] for each in reported["findings"]] == ["note", "note", "note"]
    result = twilio("check")
    assert "note: +12125550100 has its own URL" in result.out
    assert f"sms-router senders remove {NEW_YORK} --service {SERVICE}" in result.out
    assert result.out.splitlines()[-1] == "config: good: 8 rules, 1 account, 1 Service"


def test_a_host_that_gets_no_status_callbacks_is_an_error(twilio: SandboxCli) -> None:
    reported = checked(twilio, code=1, PUBLIC_URL="https://sms_router.example.com")
    assert any("sms_router.example.com contains an underscore" in each for each in errors(reported))


def test_wrong_urls_are_fixed_after_showing_the_changes(twilio: SandboxCli) -> None:
    twilio.service.update(
        inbound_request_url="https://old.example.com/sms",
        fallback_url="",
        use_inbound_webhook_on_number=True,
    )
    assert len(errors(checked(twilio, code=1))) == 3
    result = twilio("check")
    assert "error: Incoming messages go to https://old.example.com/sms, not to this router" in result.out
    assert result.out.splitlines()[-1].startswith("config: not good")

    result = twilio("check", "--fix")
    assert result.code == 2
    assert "would be changed" in result.out
    assert "sms-router check --fix --yes" in result.err
    assert twilio.service.fetch().inbound_request_url == "https://old.example.com/sms"

    reported = checked(twilio, "--fix", "--yes", code=0)
    assert errors(reported) == []
    assert {each["setting"]: each["is"] for each in reported["mended"]} == {
        "inbound_request_url": f"{PUBLIC}/sms",
        "fallback_url": f"{PUBLIC}/sms/fallback",
        "use_inbound_webhook_on_number": False,
    }
    service = twilio.service.fetch()
    assert (service.inbound_request_url, service.fallback_url) == (f"{PUBLIC}/sms", f"{PUBLIC}/sms/fallback")
    assert service.use_inbound_webhook_on_number is False
    (change,) = json.loads(twilio("membership", "history", "--json").out)
    assert change["subject"] == SERVICE
    assert f"inbound request url: https://old.example.com/sms -> {PUBLIC}/sms" in change["detail"]
    assert checked(twilio, "--fix", code=0)["mended"] == []


def test_webhooks_with_get_are_set_to_post(twilio: SandboxCli) -> None:
    number = twilio.client.incoming_phone_numbers(NEW_YORK)
    twilio.service.update(inbound_method="GET", fallback_method="GET")
    number.update(sms_url=f"{PUBLIC}/sms", sms_method="GET")
    warnings = [each["finding"] for each in checked(twilio, code=0)["findings"] if each["mendable"]]
    assert [sentence.partition(" is GET")[0] for sentence in warnings] == [
        "The inbound method", "The fallback method", "The webhook method of +12125550100"
    ]  # fmt: skip
    assert f"sms method of {NEW_YORK}" in twilio("check", "--fix").out
    assert checked(twilio, "--fix", "--yes", code=0)["mended"] == [
        {"service": SERVICE, "number": None, "setting": "inbound_method", "was": "GET", "is": "POST"},
        {"service": SERVICE, "number": None, "setting": "fallback_method", "was": "GET", "is": "POST"},
        {"service": SERVICE, "number": NEW_YORK, "setting": "sms_method", "was": "GET", "is": "POST"},
    ]
    service = twilio.service.fetch()
    assert (service.inbound_method, service.fallback_method) == ("POST", "POST")
    assert number.fetch().sms_method == "POST"
    assert not any("is GET" in each["finding"] for each in checked(twilio, code=0)["findings"])


def test_warnings_fail_in_strict_mode_only(twilio: SandboxCli) -> None:
    twilio.service.phone_numbers("PN" + "0" * 31 + "3").delete()
    reported = checked(twilio, code=0)
    assert reported["findings"][0]["severity"] == "warning"
    assert "In Canada" in reported["findings"][0]["finding"]
    assert not checked(twilio, "--strict", code=1)["good"]


def test_media_without_an_mms_sender_is_an_error(twilio: SandboxCli) -> None:
    for sid in ("SC" + "0" * 31 + "1", *("PN" + "0" * 31 + digit for digit in "123")):
        (twilio.service.short_codes if sid.startswith("SC") else twilio.service.phone_numbers)(sid).delete()
    assert any("no sender of the Service can send MMS" in each for each in errors(checked(twilio, code=1)))


def test_changes_since_the_last_refresh_are_a_note(twilio: SandboxCli) -> None:
    twilio("membership", "refresh")
    twilio.service.update(friendly_name="Renamed")
    (note,) = [each for each in checked(twilio, code=0)["findings"] if "has changed since" in each["finding"]]
    assert "friendly name: Demo -> Renamed" in note["finding"]
    assert note["remedy"] == "sms-router membership refresh"


@pytest.mark.parametrize(
    ("environment", "reported"),
    [
        ({"TWILIO_AUTH_TOKEN": "not-the-token"}, "the account sid and the auth token do not match"),
        ({"TWILIO_MESSAGING_SERVICE_SID": "MG" + "9" * 32}, "error 20404"),
        ({"TWILIO_API_BASE_URL": "http://127.0.0.1:1"}, "the connection to Twilio's API failed"),
    ],
)
def test_an_unreadable_service_is_an_error_with_a_remedy(
    twilio: SandboxCli, environment: dict[str, str], reported: str
) -> None:
    (finding,) = checked(twilio, code=1, **environment)["findings"]
    assert finding["severity"] == "error"
    assert reported in finding["remedy"]


def test_an_unreachable_redis_is_an_error(twilio: SandboxCli) -> None:
    twilio.service.update(fallback_url="")
    reported = checked(twilio, code=1, REDIS_URL="redis://:s3cret@127.0.0.1:1/0")
    away = next(each for each in reported["findings"] if each["about"] == "redis")
    assert (away["severity"], away["remedy"]) == ("error", "Set REDIS_URL, or start Redis.")
    assert away["finding"].startswith("Redis does not respond")
    assert any("fallback" in each["finding"] for each in reported["findings"])


@pytest.mark.parametrize(
    ("policy", "loses"),
    [("allkeys-lru", "opt-outs and answers"), ("volatile-ttl", "messages are answered twice")],
)
def test_a_redis_that_evicts_keys_is_an_error(
    twilio: SandboxCli, private_valkey: PrivateValkey, policy: str, loses: str
) -> None:
    with private_valkey.client() as client:
        client.config_set("maxmemory-policy", policy)
        assert checked(twilio, code=0, REDIS_URL=private_valkey.url)  # without a bound it never does
        client.config_set("maxmemory", 10**9)
        (found,) = [
            each
            for each in checked(twilio, code=1, REDIS_URL=private_valkey.url)["findings"]
            if each["about"] == "redis"
        ]
    assert loses in found["finding"]
    assert "maxmemory-policy noeviction" in found["remedy"]


@pytest.mark.parametrize("forbidden", ["-eval", "-set", "-publish"])
def test_missing_redis_permissions_are_an_error(
    twilio: SandboxCli, private_valkey: PrivateValkey, forbidden: str
) -> None:
    url = private_valkey.url
    with private_valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "ours", "on", ">pw", "~*", "&*", "+@all", forbidden)
        found = checked(twilio, code=1, REDIS_URL=url.replace("unix://", "unix://ours:pw@"))["findings"]
    (refused,) = [each for each in found if each["about"] == "redis"]
    assert refused["severity"] == "error"
    assert refused["finding"].casefold().startswith(f"redis does not let ours run {forbidden[1:]}")
    assert refused["remedy"] == f"ACL SETUSER ours +{forbidden[1:]}"


@pytest.mark.parametrize(("place", "setting"), [("Redis", "REDIS_URL"), (".data", "data_dir in router.toml")])
def test_data_of_another_version_is_an_error(
    cli: Cli, folder: Path, valkey: redis.Redis, valkey_url: str, place: str, setting: str
) -> None:
    if place == "Redis":
        valkey.set("sms-router:schema", "2")
    else:
        (folder / ".data").mkdir()
        (folder / ".data" / "schema").write_text("2")
    result = cli("check", "--json", SANDBOX_PORT=str(free_port()), REDIS_URL=valkey_url)
    (found,) = [each for each in json.loads(result.out)["findings"] if each["about"] == "schema"]
    assert (result.code, found["severity"]) == (1, "error")
    assert found["finding"] == f"{place} has data of schema 2, and this sms-router needs schema 1."
    assert found["remedy"] == f"Run the version of sms-router that wrote it, or set another {setting}."


def test_mistakes_of_the_configuration_are_reported_alone(twilio: SandboxCli, folder: Path) -> None:
    (folder / "config" / "router.toml").write_text("[rooter]")
    reported = checked(twilio, code=1)
    assert reported["mistakes"] == ["config/router.toml:1:1: rooter: unknown key; did you mean router?"]
    assert reported["findings"] == []


def test_without_twilio_only_the_configuration_is_checked(twilio: SandboxCli) -> None:
    twilio.fault(kind="status", status=500)
    assert checked(twilio, "--no-twilio", code=0)["findings"] == []


def test_without_credentials_and_sandbox_twilio_is_skipped(cli: Cli) -> None:
    result = cli("check", SANDBOX_PORT=str(free_port()))
    assert result.code == 0
    assert "The sandbox does not run, so the settings at Twilio were not checked." in result.err


def test_an_unreachable_redis_is_reported_once_without_the_sandbox(cli: Cli) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}"
    result = cli("check", "--json", SANDBOX_PORT=str(free_port()), REDIS_URL=nowhere)
    assert [each["about"] for each in json.loads(result.out)["findings"]] == ["redis"]


def test_an_unreachable_redis_is_one_error_with_findings_of_twilio(twilio: SandboxCli) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}"
    assert [error.split(":")[0] for error in errors(checked(twilio, code=1, REDIS_URL=nowhere))] == [
        "Redis does not respond"
    ]
    twilio.fault(kind="status", status=503)
    first, *_ = errors(checked(twilio, code=1, REDIS_URL=nowhere))
    assert first.startswith("Redis does not respond")


def test_a_placeholder_is_an_error(twilio: SandboxCli) -> None:
    placeholder = "MG" + "x" * 32
    reported = errors(checked(twilio, code=1, TWILIO_MESSAGING_SERVICE_SID=placeholder))
    assert "services[1].sid is a placeholder, which exists neither in webhooks nor at Twilio." in reported
