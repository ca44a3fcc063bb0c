"""Rules that need too much time or memory to load end a separate process, and not the worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from sms_router.routing.dispatch import isolated_loading
from sms_router.routing.dispatch.published import PublishedRules

TEMPLATE = '[default]\nreply = "Hello {{ message.from_city }}"\n'


def write(folder: Path, text: str) -> Path:
    (folder / "keywords.toml").write_text(text)
    return folder


@pytest.mark.parametrize("text", ["", TEMPLATE, "no TOML {{ at all", '[default]\nreply = "{{ unknown }}"\n'])
async def test_rules_of_usual_cost_have_no_excess_whether_they_have_mistakes_or_not(
    tmp_path: Path, text: str
) -> None:
    assert await isolated_loading.find_excess(write(tmp_path, text)) == []


async def test_rules_that_take_too_much_to_be_compiled_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated_loading, "MAX_CPU_SECONDS", 1)
    monkeypatch.setattr(isolated_loading, "MAX_SECONDS", 60.0)
    reply = "{% if 1 %}x{% endif %}" * 200_000
    (excess,) = await isolated_loading.find_excess(write(tmp_path, f"[default]\nreply = '{reply}'\n"))
    assert excess.startswith("keywords.toml and its templates take more than 1 s of processor time or")


async def test_rules_that_take_too_long_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated_loading, "MAX_SECONDS", 0.0)
    version = PublishedRules(1, "ada", 0.0, "", {"keywords.toml": TEMPLATE})
    assert await isolated_loading.find_excess(tmp_path, version) == [
        "keywords.toml and its templates take more than 0 s to be loaded"
    ]
