"""Scenario files and their mistakes."""

from pathlib import Path

import pytest

from sms_router.errors import ConfigurationError
from sms_router.sandbox.scenarios.scenario import Scenario, load_scenario
from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.loader import load_world
from tests.sandbox.sandbox_fixture import PHONE, SHORT_CODE, WORLD

STEP = f'[[steps]]\nphone = "{PHONE}"\ntexts = "HOURS"\n'


def _read(tmp_path: Path, text: str, title: str = 'title = "x"\n') -> Scenario:
    path = tmp_path / "scenario.toml"
    path.write_text(title + text, "utf-8")
    return load_scenario(path, load_world(WORLD))


def test_a_step_has_an_action_and_a_check(tmp_path: Path) -> None:
    shows = 'shows = ["Hi", { from = "12345", contains = "x", media = [] }]\nalerts = [21610]\nwithin = 2\n'
    (step,) = _read(tmp_path, STEP + shows).steps
    assert (step.is_text, step.phone, step.to, step.texts) == (True, PHONE, SHORT_CODE, "HOURS")
    first, second = step.shows or ()
    assert (first.sender, first.equals, first.contains, first.media) == (None, "Hi", (), None)
    assert (second.sender, second.equals, second.contains, second.media) == ("12345", None, ("x",), ())
    assert (step.alerts, step.within, step.undelivered) == ((21610,), 2.0, None)


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
        ('port = { number = "+13125550100" }', "the port of +13125550100: in review"),
        ("command = 'onboarding note 12345 \"a b\"'", "sms-router onboarding note 12345 'a b'"),
        ('title = "my own"\nalerts = []', "my own"),
    ],
)
def test_a_step_has_a_title(tmp_path: Path, step: str, title: str) -> None:
    assert _read(tmp_path, f"[[steps]]\n{step}\n").steps[0].title == title


def test_a_scenario_adds_phones_and_settings_to_the_world(tmp_path: Path) -> None:
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
    wait, faults, check_only = scenario.steps
    assert (wait.wait, wait.faults, wait.is_text) == (1, None, False)
    assert (faults.wait, faults.faults) == (None, FaultSet())
    assert (check_only.wait, check_only.faults, check_only.is_text) == (None, None, False)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "steps: is missing; add [[steps]]"),
        ("[[steps]]\ntexts = 'x'\n", "steps[1].phone: is missing: whose phone is it?"),
        (STEP + "wait = 3\n", "steps[1].wait: a step does one thing, and texts is another"),
        (
            "[[steps]]\nwait = 3\ncommand = 'check'\n",
            "steps[1].command: a step does one thing, and wait is another",
        ),
        (STEP + "prints = ['x']\n", "steps[1].prints: goes with command: nothing prints here"),
        ("[[steps]]\ncommand = 'note \"x'\n", "steps[1].command: No closing quotation"),
        ("[[steps]]\ncommand = 3\n", "steps[1].command: must be text in quotes"),
        ("[[steps]]\nport = { status = 'lost' }\n", "steps[1].port.number: is missing"),
        (STEP + "shows = 'Hi'\n", "steps[1].shows: expected a list of texts and tables, or a number"),
        (STEP + "shows = [3]\n", "steps[1].shows[1]: must be a table"),
        (STEP + "shows = [{ form = '1' }]\n", "steps[1].shows[1].form: unknown key; did you mean from?"),
        (STEP + "undelivered = [{}]\n", "steps[1].undelivered[1].error: is missing"),
        (
            STEP + "undelivered = [{ error = 3 }]\n",
            "steps[1].undelivered[1].error: must be greater than or equal to 10000",
        ),
        ("[[steps]]\nwait = 1\nto = '12345'\n", "steps[1].to: goes with texts or media"),
        ("[[steps]]\nwait = 1\nwebhook = 'failed'\n", "steps[1].webhook: goes with texts or media"),
        ("[[steps]]\nphone = '4155550100'\n", "steps[1].phone: '4155550100' is neither a number in E.164"),
        ("[[steps]]\nwait = 1\ngroup = ['+14155550124']\n", "steps[1].group: goes with texts or media"),
        (
            "what = 1\n" + STEP,
            "what: unknown key; known ones are application, carriers, conversations, faults, ",
        ),
        ("what = 1\n" + STEP, "loop_guard, phones, router, service, steps, story, title"),
        (STEP + "alerts = ['x']\n", "steps[1].alerts[1]: must be a whole number"),
        (STEP + "webhook = 'well'\n", "steps[1].webhook: must be 'answered', 'answered by the fallback'"),
        (STEP + "to = '99999'\n", "steps[1].to: 99999 is not one of the account's numbers: 12345"),
        (STEP + "within = 61\n", "steps[1].within: must be less than or equal to 60"),
        (STEP + "show = []\n", "steps[1].show: unknown key; did you mean shows?"),
        (f"[[steps]]\nphone = '{PHONE}'\ncarrier = 'x'\n", "steps[1].carrier: there is no carrier 'x'"),
        (f"[[steps]]\nphone = '{PHONE}'\nstate = 'x'\n", "steps[1].state: must be 'on', 'off'"),
        ("[service]\nsid = 'x'\n" + STEP, "service.sid: unknown key"),
        ("[application]\ncode = 'x'\n" + STEP, "application.code: unknown key"),
        (
            "[application]\nupstream = {x = 500}\n" + STEP,
            "application.upstream.x: expected a path that begins with /",
        ),
        (
            "[application]\nupstream = {'/x' = 42}\n" + STEP,
            "application.upstream./x: expected TwiML, or a status from 200 to 599, got 42",
        ),
        (
            "[[phones]]\nnumber = '+13125550123'\ncarrier = 'x'\n" + STEP,
            "phones[1].carrier: there is no",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_key(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        _read(tmp_path, text)
    assert any(mistake in sentence for sentence in wrong.value.mistakes), wrong.value.mistakes


def test_a_title_is_required(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="title: is missing"):
        _read(tmp_path, STEP, title="")
