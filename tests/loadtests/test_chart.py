import xml.etree.ElementTree as ET
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.bench.chart import Bar, Line, Panel, bars, panels
from loadtests.bench.charts import cost_chart, growth_chart
from loadtests.bench.conditions import CONDITIONS
from loadtests.bench.conditions import cells as condition_cells
from loadtests.bench.figures import Latency
from loadtests.bench.machine import Machine
from loadtests.bench.report import Run
from loadtests.bench.rules import RuleFigures
from loadtests.bench.senders import SenderFigures
from loadtests.bench.slow_upstream import UpstreamFigures
from tests.loadtests.test_report import summary

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def lengths(svg: str) -> list[float]:
    return [
        float(element.get("width", "0"))
        for element in ET.fromstring(svg).iter(f"{SVG}rect")
        if "class" not in element.attrib
    ]


def test_a_bar_is_as_long_as_its_value() -> None:
    drawn = bars("CPU", "today", [Bar("a", 100), Bar("b", 50, strong=True), Bar("c", 0)])
    most, half, none = lengths(drawn)
    assert half == pytest.approx(most / 2, abs=0.1)
    assert none == 0
    assert texts(drawn) == ["CPU", "today", "a", "100", "b", "50", "c", "0"]


def test_special_characters_of_xml_are_escaped() -> None:
    assert '<&">' in texts(bars('a "b" <c>', "&", [Bar('<&">', 1)]))


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=2))
def test_no_point_leaves_its_panel(values: list[float]) -> None:
    panel = Panel("senders", "µs", ("1", "2"), (Line("one", tuple(values)), Line("two", (1.0, 2.0))))
    drawn = ET.fromstring(panels("growth", "today", [panel]))
    grid = [float(line.get("y1", "")) for line in drawn.iter(f"{SVG}line")]
    points = [
        float(point.split(",")[1])
        for line in drawn.iter(f"{SVG}polyline")
        for point in line.get("points", "").split()
    ]
    assert all(min(grid) <= point <= max(grid) for point in points)


def test_a_fourth_panel_begins_a_second_row() -> None:
    panel = Panel("senders", "µs", ("1",), (Line("one", (1.0,)),))
    three, four = (ET.fromstring(panels("growth", "today", [panel] * count)) for count in (3, 4))
    assert float(four.get("height", "")) > float(three.get("height", ""))


def test_the_charts_show_each_stack_and_each_size() -> None:
    stacks = [summary("floor", 40), summary("router", 200)]
    assert {"floor", "router", "40", "200"} <= set(texts(cost_chart(stacks, "today")))
    conditions = [summary(condition.name, 200) for condition in CONDITIONS]
    senders = [SenderFigures(size, 1.0, 16.0, 1.0, 1.0, 1.0) for size in (10, 10_000)]
    rules = [RuleFigures(size, *[8.0] * 7) for size in (10, 10_000)]
    latency = Latency(500.0, 1.0, 2.0, 3.0)
    upstream = [
        UpstreamFigures("not called", latency, float("nan"), 0, 0, ()),
        UpstreamFigures("after 2 s", latency, 2001, 40, 0, ()),
    ]
    shown = texts(growth_chart(senders, rules, conditions, upstream, "today"))
    assert {
        "none",
        "after 2 s",
        "p99",
        "senders",
        "keyword rules",
        "connections",
        "workers",
        "10,000",
        "50%",
    } <= set(shown)


def test_a_condition_is_a_row_with_its_name() -> None:
    rows = condition_cells([summary(condition.name, 200, 30) for condition in CONDITIONS]).rows
    names = [row[0] for row in rows]
    assert names[0] == "1 connection"
    assert {"1,000 connections", "0% duplicates", "50% duplicates", "2 workers"} <= set(names)
    assert rows[0][1:5] == ("200", "190-210", "30", "5,000")


def test_one_round_is_not_called_a_median() -> None:
    machine = Machine("Some CPU", 2, "3.11.7", "Linux 6.1", pinned=False)
    description = Run("python -m loadtests.bench --quick", machine, date(2026, 11, 22), 1, ()).description
    assert description.startswith("Measured 2026-11-22 with `python -m loadtests.bench --quick`: one round.")
