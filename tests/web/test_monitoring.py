"""The included dashboard and alert rules use metrics that the router has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY

from sms_router.web import metrics

MONITORING = Path(__file__).parents[2] / "docs" / "monitoring"
PANELS = json.loads((MONITORING / "grafana.json").read_text())["panels"]
(GROUP,) = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
QUERIES = [
    *(target["expr"].replace("$__rate_interval", "5m") for panel in PANELS for target in panel["targets"]),
    *(rule["expr"] for rule in GROUP["rules"]),
]


def exposed() -> set[str]:
    """Return the names of all series that the router's metrics can have."""
    assert metrics.MESSAGES
    names = {"up"}
    for metric in REGISTRY.collect():
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
        names |= {metric.name + ending for ending in endings.get(metric.type, ("",))}
    return names


def selected(expression: Any) -> Iterator[str]:
    """Yield the series in an expression."""
    if isinstance(expression, promql_parser.VectorSelector) and expression.name:
        yield expression.name
    for part in ("expr", "lhs", "rhs", "vector_selector", "vs"):
        if (inner := getattr(expression, part, None)) is not None:
            yield from selected(inner)
    for argument in getattr(expression, "args", None) or ():
        yield from selected(argument)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_valid_and_selects_existing_metrics(query: str) -> None:
    names = set(selected(promql_parser.parse(query)))
    assert names
    assert names <= exposed()


def test_every_alert_has_a_remedy() -> None:
    for rule in GROUP["rules"]:
        assert rule["annotations"].keys() == {"summary", "remedy"}, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_every_panel_has_a_position_of_its_own() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in PANELS})
