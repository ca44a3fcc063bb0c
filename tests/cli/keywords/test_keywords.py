"""``keywords``: the rules, what is wrong with them, and which of them a text belongs to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sms_router.cli.output import tables
from sms_router.routing.dispatch.rule_warnings import KnownSenders
from sms_router.senders.pool import Pool
from tests.cli.conftest import Cli, CommandResult, Serving
from tests.senders.builders import sender

TIMED = """
[[keyword]]
words = ["SUPPORT"]
reply = "We are there."
hours = { days = ["mon-fri"], from = "09:00", to = "17:00" }

[[keyword]]
words = ["SUPPORT"]
reply = "Nobody is there."

[[keyword]]
words = ['order (\\d+)', 'support (.*)']
match = "pattern"
reply = "Order {{ argument }}"

[default]
reply = "What?"
did_you_mean = "Did you mean {{ keyword }}?"
"""


def test_what_a_handler_module_prints_goes_to_standard_error(cli: Cli, folder: Path) -> None:
    module = folder / "my_handlers.py"
    module.write_text(f"print('connecting ...')\n{module.read_text()}")
    result = cli("keywords", "--json")
    assert [rule["words"] for rule in json.loads(result.out)]
    assert result.err == "connecting ...\n"


def test_rules_are_listed_in_the_order_of_precedence(cli: Cli, folder: Path) -> None:
    (folder / "config" / "keywords.toml").write_text(
        "\n".join(
            f'[[keyword]]\nwords = ["{kind}"]\nmatch = "{kind}"\nreply = "a"\n'
            for kind in ("prefix", "whole", "first-word")
        )
    )
    rules = json.loads(cli("keywords", "--json").out)
    assert [rule["match"] for rule in rules] == ["whole"] + ["first-word"] * 5 + ["prefix"]
    assert rules[0] == {
        "words": ["whole"],
        "match": "whole",
        "scope": "everywhere",
        "source": "config/keywords.toml, keyword 2",
        "answer": "text",
    }


def test_rules_fit_80_columns(cli: Cli) -> None:
    result = cli("keywords")
    assert result.code == 0
    assert "HOURS, OPEN" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert "my_handlers:6 echo" in result.out
    assert "Left out" not in result.out
    tables.width = 79
    narrow = cli("keywords", "list").out
    assert narrow.endswith("\nLeft out: defined in. Show all: sms-router keywords list --wide\n")
    assert max(map(len, narrow.splitlines()[:-1])) <= 79
    assert "my_handlers:6 echo" in cli("keywords", "--wide").out


def write(folder: Path, content: str) -> None:
    (folder / "config" / "keywords.toml").write_text(content)


def test_check_reports_shadowed_rules_as_warnings(cli: Cli, folder: Path) -> None:
    write(folder, TIMED)
    result = cli("keywords", "check")
    assert result.code == 0
    assert "warning: 'support (.*)' (pattern) of order" in result.out
    assert "'SUPPORT' (first-word) of SUPPORT (config/keywords.toml:8:9) takes precedence" in result.out
    assert result.out.endswith("config: good: 7 rules, 1 warning\n")
    shown = json.loads(cli("keywords", "check", "--json").out)
    assert (shown["good"], shown["rules"], shown["mistakes"], len(shown["warnings"])) == (
        True,
        7,
        [],
        1,
    )


def test_check_compares_the_rules_with_the_senders(cli: Cli, folder: Path) -> None:
    write(folder, '[[keyword]]\nwords = ["HI"]\ncountries = ["UK"]\nnumbers = ["99999"]\nreply = "Hi."\n')
    for command in (("keywords", "check"), ("check", "--no-twilio")):
        result = cli(*command)
        assert result.code == 0
        assert "countries: 'UK' never matches: write GB" in result.out
        assert "numbers: 99999 never matches: no configured Service has this sender" in result.out


def test_check_reports_every_mistake(cli: Cli, folder: Path) -> None:
    write(folder, TIMED.replace("mon-fri", "mo").replace(r"(\d+)", r"(\d+"))
    result = cli("keywords", "check")
    assert result.code == 1
    errors = [line for line in result.out.splitlines() if line.startswith("error: ")]
    for part in ('days: "mo" should be a day like "mon"', "(config/keywords.toml:12:9) is invalid"):
        assert any(part in line for line in errors)
    shown = json.loads(cli("keywords", "check", "--json").out)
    assert not shown["good"]
    assert any("missing )" in mistake for mistake in shown["mistakes"])


@pytest.mark.parametrize(
    ("text", "at", "code", "rule", "verdicts"),
    [
        ("support", "2026-01-05T09:00", 0, "SUPPORT", {"keyword 1": "chosen", "keyword 2": "outranked"}),
        ("support", "2026-01-05T08:00Z", 0, "SUPPORT", {"keyword 1": "chosen", "keyword 2": "outranked"}),
        ("support", "2026-01-05T08:59", 0, "SUPPORT", {"keyword 1": "other scope", "keyword 2": "chosen"}),
        ("order 12", "2026-01-05T08:59", 0, r"order (\d+)", {"keyword 3": "chosen"}),
        ("suport", "2026-01-05T08:59", 1, "did you mean SUPPORT", {}),
        ("hello", "2026-01-05T08:59", 1, "default", {}),
        ("STOP", "2026-01-05T08:59", 0, "opt-out word STOP, answered by the router", {}),
    ],
)
def test_a_text_is_tested_at_any_time(
    cli: Cli, folder: Path, text: str, at: str, code: int, rule: str, verdicts: dict[str, str]
) -> None:
    write(folder, TIMED)
    router = folder / "config" / "router.toml"
    router.write_text(router.read_text().replace("[router]", '[router]\ntime_zone = "Europe/Berlin"'))
    result = cli("keywords", "test", text, "--to", "12345", "--at", at, "--json")
    shown = json.loads(result.out)
    assert (result.code, shown["rule"], shown["at"][-6:]) == (code, rule, "+01:00")
    assert {each["source"].rpartition(", ")[2]: each["verdict"] for each in shown["rules"]} == verdicts
    assert rule in cli("keywords", "test", text, "--to", "12345", "--at", at).out


def test_a_text_is_tested_for_a_contact_and_a_number(cli: Cli) -> None:
    canada = cli("keywords", "test", "bonjour", "--from", "+16475550123")
    assert canada.code == 0
    assert "from +16475550123" in canada.out
    assert cli("keywords", "test", "bonjour", "--from", "+14155550123").code == 1
    assert "only for country CA" in " ".join(cli("keywords", "test", "bonjour").out.split())
    there = cli("keywords", "test", "hours", "--service", "MG" + "0b" * 16)
    assert "Service MG" + "0b" * 16 in there.out


def test_the_service_of_a_tested_text_is_that_of_its_number(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "MG" + "0b" * 16
    pools = {other: Pool(other, 1, (sender("12345"),))}
    monkeypatch.setattr(
        "sms_router.cli.keywords.keywords.known_senders", lambda _: KnownSenders(frozenset(pools), pools)
    )
    for to, service in (("12345", other), ("54321", "MG" + "0" * 31 + "1")):
        shown = json.loads(cli("keywords", "test", "hours", "--to", to, "--json").out)
        assert shown["service"] == service


def test_a_changed_file_is_tried_on_the_journal(cli: Cli, serving: Serving, tmp_path: Path) -> None:
    def run(*words: str) -> CommandResult:
        return cli(*words, inside=serving.folder, **serving.environment)

    for text in ("hours", "opne", "menu", "jobs now", "STOP", "START"):
        assert run("text", text, "--from", "+14155550177").code == 0
    old = (serving.folder / "config" / "keywords.toml").read_text()
    same, changed = tmp_path / "same.toml", tmp_path / "changed.toml"
    same.write_text(old)
    changed.write_text(
        old.replace("9 to 5", "10 to 4") + '\n[[keyword]]\nwords = ["JOBS"]\nreply = "None, sorry."\n'
    )
    unchanged = run("keywords", "try", str(same))
    assert unchanged.code == 0
    assert "0 of " in unchanged.out
    result = run("keywords", "try", str(changed), "--json", "--reveal")
    assert result.code == 1
    reported = json.loads(result.out)
    mine = {each["body"]: (each["before"], each["after"]) for each in reported["changes"]}
    assert mine["hours"] == (
        {"rule": "HOURS", "answer": "We are open 9 to 5, SAN FRANCISCO."},
        {"rule": "HOURS", "answer": "We are open 10 to 4, SAN FRANCISCO."},
    )
    assert mine["jobs now"] == (
        {"rule": "default", "answer": "Text HOURS or MENU."},
        {"rule": "JOBS", "answer": "None, sorry."},
    )
    assert not {"opne", "menu", "STOP", "START"} & mine.keys()
    assert reported["changed"] == len(reported["changes"]) < reported["tried"]
    shown = run("keywords", "try", str(changed), "--last", "500")
    assert shown.code == 1
    assert f"{reported['changed']} of {reported['tried']} messages would be answered differently" in shown.out
    assert "jobs" not in shown.out
    assert "(8 characters)" in " ".join(shown.out.split())
    assert max(map(len, shown.out.splitlines())) <= 80


def test_an_invalid_or_missing_file_is_not_tried(cli: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[keyword]")
    result = cli("keywords", "try", str(broken))
    assert result.code == 1
    assert "broken.toml:1:10: not valid TOML" in result.err
    assert cli("keywords", "try", str(tmp_path / "none.toml")).code == 2


def test_without_messages_nothing_changes(cli: Cli, folder: Path) -> None:
    result = cli("keywords", "try", "config/keywords.toml", "--json")
    assert (result.code, json.loads(result.out)) == (0, {"tried": 0, "changed": 0, "changes": []})
