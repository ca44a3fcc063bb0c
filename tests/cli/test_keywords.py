"""``keywords``: the rules, what is wrong with them, and which of them a text belongs to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

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


def test_keywords_come_in_the_order_of_their_precedence(cli: Cli, folder: Path) -> None:
    (folder / "config" / "keywords.toml").write_text(
        "\n".join(
            f'[[keyword]]\nwords = ["{kind}"]\nmatch = "{kind}"\nreply = "a"\n'
            for kind in ("prefix", "whole", "first-word")
        )
    )
    rules = json.loads(cli("keywords", "--json").out)
    assert [rule["match"] for rule in rules] == ["whole"] + ["first-word"] * 4 + ["prefix"]
    assert rules[0] == {
        "words": ["whole"],
        "match": "whole",
        "scope": "everywhere",
        "source": "config/keywords.toml, keyword 2",
        "answer": "text",
    }


def test_keywords_are_readable_at_80_columns(cli: Cli) -> None:
    spoken = cli("keywords")
    assert spoken.code == 0
    assert "HOURS, OPEN" in spoken.out
    assert "my_handlers:4 echo" in spoken.out
    assert max(map(len, spoken.out.splitlines())) <= 80


def write(folder: Path, content: str) -> None:
    (folder / "config" / "keywords.toml").write_text(content)


def test_a_good_file_is_told_with_what_is_hidden(cli: Cli, folder: Path) -> None:
    write(folder, TIMED)
    spoken = cli("keywords", "check")
    assert spoken.code == 0
    assert "warning: 'support (.*)' (pattern) of order" in spoken.out
    assert "'SUPPORT' (first-word) of SUPPORT (config/keywords.toml, keyword 2) comes first" in spoken.out
    assert spoken.out.endswith("config: good: 6 rules, 1 warning\n")
    told = json.loads(cli("keywords", "check", "--json").out)
    assert (told["good"], told["rules"], told["mistakes"], len(told["warnings"])) == (True, 6, [], 1)


def test_every_mistake_is_told(cli: Cli, folder: Path) -> None:
    write(folder, TIMED.replace("mon-fri", "mo").replace(r"(\d+)", r"(\d+"))
    spoken = cli("keywords", "check")
    assert spoken.code == 1
    errors = [line for line in spoken.out.splitlines() if line.startswith("error: ")]
    for part in ('days: "mo" should be a day like "mon"', "(config/keywords.toml, keyword 3) cannot be used"):
        assert any(part in line for line in errors)
    told = json.loads(cli("keywords", "check", "--json").out)
    assert not told["good"]
    assert any("missing )" in mistake for mistake in told["mistakes"])


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
def test_a_text_is_tried_at_any_time(
    cli: Cli, folder: Path, text: str, at: str, code: int, rule: str, verdicts: dict[str, str]
) -> None:
    write(folder, TIMED)
    router = folder / "config" / "router.toml"
    router.write_text(router.read_text() + 'time_zone = "Europe/Berlin"\n')
    spoken = cli("keywords", "test", text, "--to", "12345", "--at", at, "--json")
    told = json.loads(spoken.out)
    assert (spoken.code, told["rule"], told["at"][-6:]) == (code, rule, "+01:00")
    assert {each["source"].rpartition(", ")[2]: each["verdict"] for each in told["rules"]} == verdicts
    assert rule in cli("keywords", "test", text, "--to", "12345", "--at", at).out


def test_who_texts_and_where_matter(cli: Cli) -> None:
    canada = cli("keywords", "test", "bonjour", "--from", "+16475550123")
    assert canada.code == 0
    assert "from +16475550123" in canada.out
    assert cli("keywords", "test", "bonjour", "--from", "+14155550123").code == 1
    assert "holds only for country CA" in " ".join(cli("keywords", "test", "bonjour").out.split())
    there = cli("keywords", "test", "hours", "--service", "MG" + "0b" * 16)
    assert "Service MG" + "0b" * 16 in there.out
