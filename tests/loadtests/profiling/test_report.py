from datetime import date

from rich.console import Console

from loadtests.bench.machine import Machine
from loadtests.profiling.figures import Profile, Row
from loadtests.profiling.report import markdown, terminal_table

PROFILE = Profile((Row("parse", 30.0, 1.0), Row("write", 10.0, 0.1)), 40.0, 55.0, 20.0, 1000)


def test_the_readme_shows_every_stage_with_its_share() -> None:
    text = markdown(PROFILE, Machine("a cpu", 2, "3.11", "Linux", True), date(2026, 11, 22))
    assert "Measured 2026-11-22 over 1,000 messages." in text
    assert "| parse | 30.0 | 75% | 1.00 |" in text
    assert "| write | 10.0 | 25% | 0.10 |" in text
    assert "| the router | 40 | 100% |  |" in text


def test_the_terminal_shows_the_longest_bar_for_the_longest_stage() -> None:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(terminal_table(PROFILE))
    lines = captured.get().splitlines()
    parse, write = (next(line for line in lines if name in line) for name in ("parse", "write"))
    assert parse.count("█") > write.count("█") > 0
