from datetime import date
from pathlib import Path

import pytest

from loadtests.bench.figures import Latency, Summary
from loadtests.bench.machine import Machine
from loadtests.bench.report import BEGIN, END, MissingMarkersError, Run, markdown, write_between_markers


def summary(name: str, cpu: float, store_cpu: float | None = None) -> Summary:
    return Summary(
        name=name,
        cpu=cpu,
        cpu_least=cpu - 10,
        cpu_most=cpu + 10,
        store_cpu=store_cpu,
        rate=1e6 / cpu,
        latency=Latency(5e5 / cpu, 1.0, 2.5, 3.25),
        resident=48.0,
        generator_busy=0.25,
        wrong=0,
        faults=(),
    )


def run(*summaries: Summary) -> Run:
    machine = Machine("Some CPU", 2, "3.11.7", "Linux 6.1", pinned=True)
    return Run("python -m loadtests.bench", machine, date(2026, 11, 22), 3, summaries)


def test_the_tables_show_cost_as_a_ratio_to_the_others() -> None:
    text = markdown(run(summary("floor", 40), summary("starlette", 400), summary("router", 200, 30)))
    assert "| router | 200 | 190-210 | 5.00 | - | 0.50 | - | - | - | 30 | 48 |" in text
    assert "| router | 5,000 | 25% | 1.00 | 2.50 | 3.25 | 2,500/s | 0 |" in text


def test_the_table_states_where_when_and_how_it_was_measured() -> None:
    text = markdown(run(summary("floor", 40)))
    assert text.startswith(
        "Measured 2026-11-22 with `python -m loadtests.bench`: medians of 3 rounds.\n"
        "Some CPU, 2 cores, Python 3.11.7, Linux 6.1; server and load generator pinned to a core each."
    )


def test_only_what_is_between_the_markers_changes(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_between_markers(readme, "new")
    write_between_markers(readme, "newer")
    assert readme.read_text() == f"before\n{BEGIN}\nnewer\n{END}\nafter\n"


def test_a_file_without_markers_is_refused_and_not_changed(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nafter\n")
    with pytest.raises(MissingMarkersError, match="bench:end"):
        write_between_markers(readme, "new")
    assert readme.read_text() == f"before\n{BEGIN}\nafter\n"
