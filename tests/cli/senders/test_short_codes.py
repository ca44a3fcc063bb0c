"""``short-codes``: the sub-resource's four operations, the resource's update, and what goes wrong."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
import redis

from sms_router.cli.senders.resources import describe_difference
from sms_router.membership import audit_log as journal
from sms_router.store.keys import AUDIT_LOG
from tests.cli.conftest import PROGRAM
from tests.cli.sandbox_cli import CODE, SERVICE, SPARE, WORLD, SandboxCli


def codes(twilio: SandboxCli, *words: str) -> list[str]:
    return [each["number"] for each in json.loads(twilio("short-codes", "list", "--json", *words).out)]


def test_short_codes_of_the_service_and_of_the_account_are_listed(twilio: SandboxCli) -> None:
    assert codes(twilio) == ["12345"]
    assert codes(twilio, "--all") == ["12345", "67890"]
    result = twilio("short-codes", "list", "--all")
    assert f"In {SERVICE}:" in result.out
    assert f"On the account, but not in {SERVICE}:" in result.out
    assert f"12345    US short code   SMS+MMS   {CODE}" in " ".join(result.out.split(" \n"))
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--short-code", "1*3"], ["12345"]),
        (["--short-code", "*****"], ["12345", "67890"]),
        (["--short-code", "99"], []),
        (["--friendly-name", "Spare code"], ["67890"]),
        (["--friendly-name", "Spare code", "--short-code", "1"], []),
    ],
)
def test_the_filters_are_twilios(twilio: SandboxCli, filters: list[str], expected: list[str]) -> None:
    assert codes(twilio, "--all", *filters) == expected


@pytest.mark.parametrize("named", [CODE, "12345"])
def test_one_short_code_is_shown_with_both_resources(twilio: SandboxCli, named: str) -> None:
    assert json.loads(twilio("short-codes", "show", named, "--json").out) == {
        "sid": CODE,
        "account_sid": WORLD.account_sid,
        "service_sid": SERVICE,
        "short_code": "12345",
        "country_code": "US",
        "capabilities": ["SMS", "MMS"],
        "number": "12345",
        "kind": "short code",
        "country": "US",
        "sends": "SMS+MMS",
        "service": SERVICE,
        "friendly_name": "Demo short code",
        "sms_url": None,
        "sms_method": "POST",
        "sms_fallback_url": None,
        "sms_fallback_method": "POST",
        "sms_application_sid": None,
        "api_version": "2010-04-01",
        "date_created": "2024-01-01T00:00:00+00:00",
        "date_updated": "2024-01-01T00:00:00+00:00",
        "url": f"{twilio.url}/v1/Services/{SERVICE}/ShortCodes/{CODE}",
        "uri": f"/2010-04-01/Accounts/{WORLD.account_sid}/SMS/ShortCodes/{CODE}.json",
    }
    assert CODE in twilio("short-codes", "show", named).out


def test_a_short_code_outside_the_service_has_no_properties_of_the_service(twilio: SandboxCli) -> None:
    shown = json.loads(twilio("short-codes", "show", "67890", "--json").out)
    assert (shown["service_sid"], shown["capabilities"], shown["url"]) == (None, None, None)
    assert shown["uri"] == f"/2010-04-01/Accounts/{WORLD.account_sid}/SMS/ShortCodes/{SPARE.sid}.json"


def test_the_api_version_is_changed_at_twilio(twilio: SandboxCli) -> None:
    result = twilio("short-codes", "update", CODE, "--api-version", "2008-08-01", "--json")
    assert (result.code, json.loads(result.out)["api_version"]) == (0, "2008-08-01")
    code = twilio.client.api.v2010.accounts(twilio.client.username).short_codes(CODE).fetch()
    assert code.api_version == "2008-08-01"


def test_a_url_with_a_fallback_is_not_removed_alone(twilio: SandboxCli, valkey: redis.Redis) -> None:
    urls = ["--sms-url", "https://a.example.com/sms", "--sms-fallback-url", "https://b.example.com/sms"]
    assert twilio("short-codes", "update", CODE, *urls).code == 0
    result = twilio("short-codes", "update", CODE, "--sms-url", "")
    assert result.code == 1
    assert "12345 has the fallback URL https://b.example.com/sms, which requires a URL" in result.err
    assert "add --sms-fallback-url ''" in result.err
    assert len(journal.recent(valkey, 10)) == 1
    assert twilio("short-codes", "update", CODE, "--sms-url", "", "--sms-fallback-url", "").code == 0


def test_an_update_that_twilio_did_not_make_is_a_sentence() -> None:
    assert (
        describe_difference({"sms_url": "", "sms_method": "GET"}, {"sms_url": None, "sms_method": "GET"})
        is None
    )
    assert describe_difference({"friendly_name": ""}, {"friendly_name": "12345"}) is None
    assert describe_difference({"api_version": "2008-08-01"}, {"api_version": "2010-04-01"}) == (
        "Twilio accepted the update, but did not make it: api version is 2010-04-01, not 2008-08-01."
    )


def test_add_and_remove_change_twilio_and_the_routers(twilio: SandboxCli, valkey: redis.Redis) -> None:
    result = twilio("short-codes", "add", SPARE.sid)
    assert (result.code, result.out) == (
        0,
        f"67890 ({SPARE.sid}) is in {SERVICE}; every router uses it now.\n",
    )
    assert [each.short_code for each in twilio.service.short_codes.list()] == ["12345", "67890"]
    assert "67890" in twilio("senders").out
    result = twilio("short-codes", "remove", "67890", "--yes")
    assert result.code == 0
    assert codes(twilio) == ["12345"]
    assert "67890" not in twilio("senders").out
    newest, oldest = journal.recent(valkey, 10)
    assert [(each.action, each.subject, each.detail) for each in (oldest, newest)] == [
        ("add", SPARE.sid, "short code 67890"),
        ("remove", SPARE.sid, "short code 67890"),
    ]


def test_nothing_is_removed_without_a_confirmation(twilio: SandboxCli, valkey: redis.Redis) -> None:
    result = twilio("short-codes", "remove", CODE)
    assert result.code == 2
    assert result.err.splitlines() == [
        f"Remove 12345 from {SERVICE}? It stays on the account, but its texts then get no answer."
        " Confirm with --yes:",
        f"sms-router short-codes remove {CODE} --yes",
    ]
    assert codes(twilio) == ["12345"]
    assert not valkey.exists(AUDIT_LOG)


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, ["12345"]), ("y", 0, [])])
def test_on_a_terminal_the_command_asks_for_confirmation(
    twilio: SandboxCli, folder: Path, answer: str, code: int, left: list[str]
) -> None:
    master, terminal = pty.openpty()
    os.write(master, f"{answer}\n".encode())
    done = subprocess.run(
        [PROGRAM, "short-codes", "remove", CODE],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **twilio.environment},
        stdin=terminal,
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(master)
    os.close(terminal)
    assert f"Remove 12345 from {SERVICE}?" in done.stdout
    assert (done.returncode, "Nothing was changed." in done.stderr) == (code, code == 1)
    assert codes(twilio) == left


def test_update_changes_the_given_settings_and_prints_them(twilio: SandboxCli, valkey: redis.Redis) -> None:
    result = twilio(
        "short-codes",
        "update",
        CODE,
        *("--friendly-name", "Shop"),
        *("--sms-url", "https://a.example.com/sms"),
        *("--sms-method", "get"),
        *("--sms-fallback-url", "https://b.example.com/sms"),
        *("--sms-fallback-method", "GET"),
        *("--api-version", "2010-04-01"),
    )
    assert result.code == 0
    assert result.out.startswith("12345: friendly name: Demo short code -> Shop, sms url: none -> https://a.")
    code = twilio.client.api.v2010.accounts(twilio.client.username).short_codes(CODE).fetch()
    assert (code.friendly_name, code.sms_url, code.sms_method) == ("Shop", "https://a.example.com/sms", "GET")
    assert (code.sms_fallback_url, code.sms_fallback_method) == ("https://b.example.com/sms", "GET")
    assert "sms url: none -> https://a.example.com/sms" in journal.recent(valkey, 1)[0].detail
    shown = json.loads(twilio("short-codes", "update", CODE, "--sms-fallback-url", "", "--json").out)
    assert shown["sms_fallback_url"] is None


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["update", CODE], "No setting to change was given"),
        (["update", CODE, "--sms-url", "ftp://a"], "must begin with https://"),
        (["update", CODE, "--sms-method", "PUT"], "must be GET or POST"),
        (["update", CODE, "--api-version", "1"], "2010-04-01 or 2008-08-01"),
        (["update", CODE, "--friendly-name", "x" * 65], "at most 64 characters"),
        (["show", "SC" + "0" * 31], "two letters and 32 hex digits"),
        (["show", "+14155550100"], "is not a short code"),
        (["show", CODE, "--service", "MG" + "9" * 32], "not one of the configured Messaging Services"),
    ],
)
def test_wrong_usage_exits_with_2(twilio: SandboxCli, words: list[str], reported: str) -> None:
    result = twilio("short-codes", *words)
    assert (result.code, result.out) == (2, "")
    assert reported in " ".join(result.err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (
            ["add", CODE],
            "error 21710: this sender is already in the Messaging Service",
        ),
        (["add", "SC" + "9" * 32], "error 20404: the sid does not exist on this account"),
        (["show", "99999"], "The account has no sender 99999."),
        (["remove", SPARE.sid, "--yes"], f"67890 ({SPARE.sid}) is not in {SERVICE}."),
        (
            ["update", CODE, "--sms-fallback-url", "https://b.example.com"],
            "12345 has no URL, and a fallback URL requires one (error 21406)",
        ),
    ],
)
def test_an_error_of_twilio_is_one_sentence_and_exits_with_1(
    twilio: SandboxCli, valkey: redis.Redis, words: list[str], reported: str
) -> None:
    result = twilio("short-codes", *words)
    assert (result.code, result.out) == (1, "")
    assert reported in result.err
    assert not valkey.exists(AUDIT_LOG)


@pytest.mark.parametrize(
    ("how", "reported"),
    [
        ({"kind": "status", "status": 429}, "error 20429: too many concurrent requests"),
        ({"kind": "status", "status": 500}, "error 20500: an internal error of Twilio"),
        ({"kind": "garbage"}, "not the expected JSON"),
        ({"kind": "half"}, "the connection to Twilio's API failed"),
    ],
)
def test_a_fault_of_twilio_is_reported_without_a_traceback(
    twilio: SandboxCli, how: dict[str, object], reported: str
) -> None:
    twilio.fault(**how)
    for words in (["list"], ["show", CODE], ["add", SPARE.sid], ["remove", CODE, "--yes"]):
        result = twilio("short-codes", *words)
        assert (result.code, result.out) == (1, "")
        assert reported in result.err


def test_a_change_that_cannot_be_read_again_is_reported_and_the_routers_are_notified(
    twilio: SandboxCli, valkey: redis.Redis
) -> None:
    twilio("membership", "refresh")
    twilio.fault(kind="status", status=503, path="AlphaSenders")
    result = twilio("short-codes", "add", SPARE.sid)
    assert result.code == 0
    assert "The routers are notified and will read the change themselves" in result.err
    assert valkey.get(f"sms-router:pool:{{{SERVICE}}}:changes") == b"2"


def test_without_redis_nothing_is_changed(twilio: SandboxCli) -> None:
    result = twilio("short-codes", "remove", CODE, "--yes", REDIS_URL="redis://127.0.0.1:1")
    assert result.code == 1
    assert result.err.startswith("Redis does not respond")
    assert codes(twilio) == ["12345"]


def test_an_unreachable_sandbox_is_reported_with_a_command(twilio: SandboxCli) -> None:
    result = twilio("short-codes", "list", TWILIO_API_BASE_URL="http://127.0.0.1:1")
    assert result.code == 1
    assert "the connection to Twilio's API failed" in result.err
    assert "make run" in result.err


def test_of_several_services_one_must_be_given(twilio: SandboxCli, folder: Path) -> None:
    other = "MG" + "2" * 32
    router = folder / "config" / "router.toml"
    tables = "".join(
        f'[[services]]\nsid = "{sid}"\naccount = "{WORLD.account_sid}"\n' for sid in (SERVICE, other)
    )
    router.write_text(router.read_text() + tables)
    result = twilio("short-codes", "show", CODE)
    assert result.code == 2
    assert f"sms-router short-codes show {CODE} --service {other}" in result.err.splitlines()
    assert twilio("short-codes", "show", CODE, "--service", SERVICE).code == 0
    result = twilio("short-codes", "list", "--service", other)
    assert "error 21701: this Messaging Service does not exist" in result.err
