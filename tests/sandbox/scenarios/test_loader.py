"""Scenario files: what they say, and what is wrong with them."""

from pathlib import Path

import pytest

from sms_router.sandbox import WorldError, load_world
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.scenarios.loader import read_scenario
from sms_router.sandbox.scenarios.scenario import Break, Look, Scenario, Shows, Wait
from tests.sandbox.bench import PHONE, SHORT_CODE, WORLD

STEP = f'[[steps]]\nphone = "{PHONE}"\ntexts = "HOURS"\n'


def _read(tmp_path: Path, text: str, title: str = 'title = "x"\n') -> Scenario:
    path = tmp_path / "scenario.toml"
    path.write_text(title + text, "utf-8")
    return read_scenario(path, load_world(WORLD))


def test_a_step_says_what_happens_and_what_must_come_of_it(tmp_path: Path) -> None:
    shows = 'shows = ["Hi", { from = "12345", contains = "x", media = [] }]\nalerts = [21610]\nwithin = 2\n'
    (step,) = _read(tmp_path, STEP + shows).steps
    assert isinstance(step.action, IncomingText)
    assert (step.action.sender, step.action.number.address, step.action.body) == (PHONE, SHORT_CODE, "HOURS")
    assert step.check.shows == (Shows(equals="Hi"), Shows(sender="12345", contains=("x",), media=()))
    assert (step.check.alerts, step.check.within, step.check.undelivered) == ((21610,), 2.0, None)


@pytest.mark.parametrize(
    ("step", "title"),
    [
        (f'phone = "{PHONE}"\ntexts = "Hi"', f"{PHONE} texts 12345: Hi"),
        (f'phone = "{PHONE}"\nmedia = ["https://example.com/a"]', f"{PHONE} texts 12345: 1 picture"),
        ("wait = 90", "90 s pass"),
        ("faults = {}", "faults are switched off"),
        ('faults = { rest = { kind = "hang" } }', "faults are switched on"),
        (f'phone = "{PHONE}"\nstate = "off"\ncarrier = "metro"', f"{PHONE} is off and is with metro"),
        (f'phone = "{PHONE}"\nshows = 0', f"{PHONE} is looked at"),
        ('title = "my own"\nalerts = []', "my own"),
    ],
)
def test_a_step_has_a_title(tmp_path: Path, step: str, title: str) -> None:
    assert _read(tmp_path, f"[[steps]]\n{step}\n").steps[0].title == title


def test_a_scenario_lays_people_and_settings_over_the_world(tmp_path: Path) -> None:
    scenario = _read(
        tmp_path,
        "[router]\ninline_deadline = 1\n[service]\nadvanced_opt_out = true\n"
        '[[carriers]]\nname = "mine"\n[[phones]]\nnumber = "+13125550123"\ncarrier = "mine"\n'
        '[faults.receipts]\ntwice = true\n[application]\nkeywords = ""\n'
        "[[steps]]\nwait = 1\n[[steps]]\nfaults = {}\n[[steps]]\nalerts = []\n",
    )
    world = scenario.world
    assert world.phone("+13125550123").carrier.name == "mine"
    assert world.phone(PHONE).carrier.name == "metro"
    assert world.services[0].advanced_opt_out
    assert world.faults.receipts is not None
    assert scenario.settings == {"router": {"inline_deadline": 1}}
    assert scenario.needs_own_router
    assert [type(step.action) for step in scenario.steps] == [Wait, Break, Look]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "steps: there must be one at least"),
        ("[[steps]]\ntexts = 'x'\n", "steps[0].phone: is missing: whose phone is it?"),
        ("[[steps]]\nphone = '123'\n", "steps[0].phone: expected E.164"),
        (STEP + "wait = 3\n", "steps[0].wait: a step does one thing: texts is another"),
        (STEP + "shows = 'Hi'\n", "steps[0].shows: expected a list of texts and tables, or a number"),
        (STEP + "shows = [3]\n", "steps[0].shows[0]: expected a table"),
        (STEP + "shows = [{ form = '1' }]\n", "steps[0].shows[0].form: unknown key; did you mean from?"),
        (STEP + "undelivered = [{}]\n", "steps[0].undelivered[0].error: is missing"),
        (STEP + "undelivered = [{ error = 3 }]\n", "steps[0].undelivered[0].error: expected a whole number"),
        ("[[steps]]\nwait = 1\nto = '12345'\n", "steps[0].to: goes with texts or media"),
        ("[[steps]]\nwait = 1\nwebhook = 'failed'\n", "steps[0].webhook: goes with texts or media"),
        ("[[steps]]\nphone = '+14155550100'\n", "steps[0].phone: +14155550100 is one of the account's"),
        ("what = 1\n" + STEP, "what: unknown key; known keys: carriers, phones, title, story, steps, "),
        ("what = 1\n" + STEP, "faults, router, conversations, loop_guard"),
        (STEP + "alerts = ['x']\n", "steps[0].alerts: expected a list of the debugger's codes"),
        (STEP + "webhook = 'well'\n", "steps[0].webhook: expected one of answered, answered by the fallback"),
        (STEP + "to = '99999'\n", "steps[0].to: 99999 is not one of the account's numbers: 12345"),
        (STEP + "within = 61\n", "steps[0].within: expected 60 seconds at most"),
        (STEP + "show = []\n", "steps[0].show: unknown key; did you mean shows?"),
        (f"[[steps]]\nphone = '{PHONE}'\ncarrier = 'x'\n", "steps[0].carrier: there is no carrier 'x'"),
        (f"[[steps]]\nphone = '{PHONE}'\nstate = 'x'\n", "steps[0].state: expected one of on, off"),
        ("[service]\nsid = 'x'\n" + STEP, "service.sid: unknown key"),
        ("[application]\ncode = 'x'\n" + STEP, "application.code: unknown key"),
        ("[application]\nupstream = {x = 500}\n" + STEP, "application.upstream: expected a path and its"),
        ("[application]\nupstream = {'/x' = 42}\n" + STEP, "got '/x' = 42"),
        (
            "[[phones]]\nnumber = '+13125550123'\ncarrier = 'x'\n" + STEP,
            "phones[0].carrier: there is no",
        ),
    ],
)
def test_a_mistake_is_named_by_its_key(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(WorldError) as wrong:
        _read(tmp_path, text)
    assert any(mistake in told for told in wrong.value.mistakes), wrong.value.mistakes


def test_a_scenario_needs_a_title(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="title: is missing"):
        _read(tmp_path, STEP, title="")
