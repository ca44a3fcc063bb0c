"""``explain``: which rule and which sender, without sending anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Serving

US, CANADA, BRITAIN = "+14155550123", "+16475550123", "+447700900123"


def explained(cli: Cli, *words: str, code: int = 0) -> dict[str, Any]:
    result = cli("explain", *words, "--json")
    assert (result.code, result.err) == (code, "")
    explanation: dict[str, Any] = json.loads(result.out)
    return explanation


@pytest.mark.parametrize(
    ("words", "rule", "answer", "sender"),
    [
        ([US, "hours today"], "HOURS", "We are open 9 to 5, friend.", "12345"),
        (["+1 (415) 555-0123", "OPEN?"], "HOURS", "We are open 9 to 5, friend.", "12345"),
        ([US, "HOURS", "--to", "+14155550100"], "HOURS", "We are open 9 to 5, friend.", "12345"),
        ([US, "menu"], "MENU", "Soup: 5\nhttps://example.com/menu.png", "12345"),
        ([CANADA, "bonjour"], "BONJOUR", "Bonjour !", "+18885550100"),
        ([US, "bonjour"], "default", "Text HOURS or MENU.", "12345"),
        ([US, "bonjour", "--country", "ca"], "BONJOUR", "Bonjour !", "+18885550100"),
        ([US, "STOP 1"], "default", "Text HOURS or MENU.", "12345"),
        ([US, "YES"], "default", "Text HOURS or MENU.", "12345"),
        ([US, "echo hello"], "ECHO", "the function my_handlers:6 echo is called with 'hello'", "12345"),
    ],
)
def test_a_text_gets_a_rule_a_reply_and_a_sender(
    cli: Cli, words: list[str], rule: str, answer: str, sender: str
) -> None:
    explanation = explained(cli, *words)
    assert (explanation["rule"], explanation["answer"], explanation["sender"]) == (rule, answer, sender)


def test_every_sender_has_a_reason(cli: Cli) -> None:
    explanation = explained(cli, BRITAIN, "HOURS")
    assert [line["sender"] for line in explanation["trail"] if line["taken"]] == [explanation["sender"]]
    reasons = {line["sender"]: line["reason"] for line in explanation["trail"]}
    assert len(reasons) == 5
    assert reasons["12345"] == "a short code of US does not reach GB"


def test_considered_rules_have_reasons(cli: Cli) -> None:
    explanation = explained(cli, US, "bonjour")
    assert [(line["rule"], line["verdict"]) for line in explanation["rules"]] == [("BONJOUR", "other scope")]
    assert explanation["rules"][0]["source"] == "config/keywords.toml, keyword 4"


def test_a_handler_is_not_run(cli: Cli, folder: Path) -> None:
    (folder / "my_handlers.py").write_text(
        'from sms_router import keyword\n@keyword("MARK")\ndef mark():\n    open("ran", "w")\n'
    )
    assert explained(cli, US, "MARK")["rule"] == "MARK"
    assert not (folder / "ran").exists()


def test_a_failing_template_is_a_problem(cli: Cli) -> None:
    explanation = explained(cli, US, "third word", code=1)
    assert explanation["rule"] == "THIRD"
    assert explanation["answer"].startswith("fails: template keyword 3 (THIRD): ZeroDivisionError")


def test_no_reply_needs_no_sender(cli: Cli, folder: Path) -> None:
    (folder / "config" / "keywords.toml").write_text("")
    explanation = explained(cli, US, "anything")
    assert (explanation["rule"], explanation["sender"], explanation["trail"]) == (
        "no rule and no default",
        None,
        [],
    )


def test_an_explanation_fits_80_columns(cli: Cli) -> None:
    result = cli("explain", CANADA, "HOURS")
    assert result.code == 0
    assert "Rule     HOURS\n" in result.out
    assert "Sender   +18885550100\n" in result.out
    assert "a short code of US does not" in result.out
    assert max(map(len, result.out.splitlines())) <= 80


def test_before_the_first_start_nothing_is_written(cli: Cli, folder: Path) -> None:
    cli("explain", US, "HOURS")
    cli("messages")
    assert not (folder / ".data").exists()


def test_with_a_running_router_the_result_is_the_same(cli: Cli, serving: Serving) -> None:
    result = cli("explain", CANADA, "bonjour", "--json", inside=serving.folder, **serving.environment)
    assert result.code == 0
    assert json.loads(result.out)["sender"] == "+18885550100"


def test_an_unreachable_twilio_is_reported(cli: Cli) -> None:
    result = cli(
        "explain",
        US,
        "HOURS",
        TWILIO_ACCOUNT_SID="AC" + "0a" * 16,
        TWILIO_AUTH_TOKEN="t0ken",
        TWILIO_MESSAGING_SERVICE_SID="MG" + "0a" * 16,
        TWILIO_API_BASE_URL="http://127.0.0.1:1",
    )
    assert result.code == 1
    assert f"Nothing is stored about MG{'0a' * 16}" in result.err
    assert "make run" in result.err
    assert "t0ken" not in result.err
