"""The router that is started for a scenario."""

import re
import socket
import tomllib
from datetime import date
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.sandbox.hosting import free_port
from sms_router.sandbox.scenarios.runner import OwnRouter, ScenarioRunner, format_toml, write_configuration
from sms_router.sandbox.scenarios.scenario import Scenario, load_scenario
from sms_router.sandbox.world.loader import load_world
from tests.sandbox.sandbox_fixture import PHONE, WORLD

CONFIG = WORLD.parent

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.booleans()
    | texts
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.just(date(2026, 1, 5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(texts, values, max_size=4))
def test_formatted_toml_can_be_read_again(document: dict[str, object]) -> None:
    assert tomllib.loads(format_toml(document)) == document


def test_a_value_that_toml_does_not_have_is_an_error() -> None:
    with pytest.raises(TypeError, match="TOML has no NoneType"):
        format_toml({"x": None})


def _scenario(tmp_path: Path, text: str, port: int = 8000) -> Scenario:
    path = tmp_path / "scenario.toml"
    step = f'[[steps]]\nphone = "{PHONE}"\ntexts = "HI"\nshows = ["Ho"]\nwithin = 0.1\n'
    path.write_text(f'title = "x"\n{text}\n{step}', "utf-8")
    return load_scenario(path, load_world(WORLD, f"http://127.0.0.1:{port}"))


def test_the_scenarios_settings_are_applied_to_a_copy_of_the_configuration(tmp_path: Path) -> None:
    folder, home = tmp_path / "theirs", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    (folder / "keywords.toml").write_text("[default]\nreply = 'theirs'\n", "utf-8")
    theirs = "[router]\nerror_reply = 'theirs'\ninline_deadline = 9.0\n[redis]\nurl = 'redis://production'\n"
    (folder / "router.toml").write_text(theirs, "utf-8")
    write_configuration(_scenario(tmp_path, "[router]\ninline_deadline = 1.0"), folder, home)
    router = tomllib.loads((home / "config" / "router.toml").read_text("utf-8"))
    assert router["router"]["error_reply"] == "theirs"
    assert router["router"]["inline_deadline"] == 1.0
    assert router["router"]["data_dir"] == str(home / "data")
    assert router["redis"] == {}
    assert (home / "config" / "keywords.toml").read_text("utf-8") == "[default]\nreply = 'theirs'\n"
    assert (folder / "router.toml").read_text("utf-8") == theirs


def test_an_application_replaces_keywords_and_handlers(tmp_path: Path) -> None:
    scenario = _scenario(tmp_path, "[application]\nkeywords = 'k = 1'\nhandlers = 'h = 1'")
    write_configuration(scenario, CONFIG, tmp_path)
    assert (tmp_path / "config" / "keywords.toml").read_text("utf-8") == "k = 1"
    assert (tmp_path / "scenario_handlers.py").read_text("utf-8") == "h = 1"
    router = tomllib.loads((tmp_path / "config" / "router.toml").read_text("utf-8"))
    assert router["router"]["handlers"] == ["scenario_handlers"]


@pytest.mark.slow
async def test_a_router_that_does_not_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    scenario = _scenario(tmp_path, "[router]\ninline_deadlin = 1.0")
    result = await ScenarioRunner(OwnRouter(CONFIG, free_port())).play(scenario, lambda _: None)
    assert not result.passed
    assert result.error.startswith("The router stopped.")
    assert re.search(r"\nconfig/router\.toml:\d+:\d+: router\.inline_deadlin: unknown key", result.error)


async def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        runner = ScenarioRunner(port=taken.getsockname()[1])
        result = await runner.play(_scenario(tmp_path, ""), lambda _: None)
    assert result.error.endswith("cannot be used; another program listens there.")


APPLICATION = """
[application]
handlers = '''
from sms_router import keyword

@keyword("HI")
async def hi() -> str:
    return "Hey"
'''
"""


@pytest.mark.slow
async def test_a_failed_scenario_reports_the_difference_and_leaves_nothing_running(tmp_path: Path) -> None:
    port = free_port()
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    result = await ScenarioRunner(OwnRouter(CONFIG, port)).play(
        _scenario(tmp_path, APPLICATION, port), lambda _: None
    )
    assert [difference.got for difference in result.played[0].differences] == [
        "from 12345, text 'Hey', status delivered"
    ]
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before
