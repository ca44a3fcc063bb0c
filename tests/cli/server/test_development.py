"""``serve --dev``: files that are saved are used, or not at all, and a line is printed for each text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sms_router.cli.server.development import WatchedFiles, development_settings
from sms_router.config.settings import load_settings
from tests.cli.conftest import HANDLERS, KEYWORDS_TOML, PROGRAM, Cli, Serving
from tests.cli.sandbox_cli import DEMO
from tests.waiting import wait_until_blocking

ORDER = """
from prices import PRICE
from sms_router import keyword

@keyword("ORDER")
def order(argument: str) -> str:
    return f"{100 // len(argument)} for {PRICE}"
"""


@pytest.fixture
def serving(folder: Path) -> Iterator[Serving]:
    (folder / "my_handlers.py").write_text(HANDLERS + ORDER)
    (folder / "prices.py").write_text("PRICE = 5\n")
    router = Serving.start(folder, PROGRAM, "--dev", WORKERS="4")
    yield router
    assert router.stop() == 0


@pytest.fixture
def reply(cli: Cli, serving: Serving) -> Callable[[str], str]:
    def text(words: str) -> str:
        return cli("text", words, "--no-wait", **serving.environment).out.splitlines()[2].strip("│ ")

    return text


@pytest.mark.slow
def test_a_saved_file_is_used_as_a_whole_or_not_at_all(
    serving: Serving, reply: Callable[[str], str], cli: Cli, folder: Path
) -> None:
    assert reply("ORDER pies") == "25 for 5"
    (folder / "prices.py").write_text("PRICE = 6\n")
    wait_until_blocking(lambda: "the change is in use" in serving.log)
    assert reply("ORDER pies") == "25 for 6"
    wait_until_blocking(lambda: " +14155550123: ORDER pies | ORDER | 12345: 25 for 6 | " in serving.log)

    assert reply("ORDER") == "Sorry."
    trace = serving.log.partition("the handler order failed [SM")[2].splitlines()
    assert trace[1].strip() == "Traceback (most recent call last):"
    assert f'{folder}/my_handlers.py", line ' in trace[2]
    assert any(line.strip().startswith("ZeroDivisionError") for line in trace)

    (folder / "config" / "keywords.toml").write_text(KEYWORDS_TOML.replace("9 to 5", "9 to 6"))
    wait_until_blocking(lambda: "changed HOURS" in serving.log)
    assert reply("HOURS") == "We are open 9 to 6, SAN FRANCISCO."

    (folder / "prices.py").write_text("COST = 7\n")
    wait_until_blocking(lambda: "the change is not used" in serving.log)
    assert f'{folder}/my_handlers.py", line ' in serving.log.partition("my_handlers cannot be imported")[2]
    assert "ImportError: cannot import name 'PRICE'" in serving.log
    assert reply("ORDER pies") == "25 for 6"
    (folder / "prices.py").write_text("PRICE = 8\n")
    wait_until_blocking(lambda: serving.log.count("the change is in use") == 2)
    assert reply("ORDER pies") == "25 for 8"

    sandbox = folder / "config" / "sandbox.toml"
    sandbox.write_text(f"{DEMO.read_text()}[")
    wait_until_blocking(lambda: "the change of sandbox.toml is not used" in serving.log)
    sandbox.write_text(DEMO.read_text())
    wait_until_blocking(lambda: "the sandbox has started again" in serving.log)
    assert reply("ORDER pies") == "25 for 8"

    assert cli("keywords", "publish", **serving.environment).code == 0
    (folder / "config" / "keywords.toml").write_text(KEYWORDS_TOML.replace("9 to 5", "9 to 7"))
    wait_until_blocking(
        lambda: "the change of keywords.toml is not used: the rules are version 1" in serving.log
    )
    assert reply("HOURS") == "We are open 9 to 6, SAN FRANCISCO."


@pytest.mark.parametrize("variables", [{"HOST": "0.0.0.0"}, {"PRIVATE_HOST": "::", "PRIVATE_PORT": "8099"}])
def test_others_cannot_reach_it(cli: Cli, variables: dict[str, str]) -> None:
    result = cli("serve", "--dev", "--sandbox", **variables)
    assert result.code == 2
    name, host = next(iter(variables.items()))
    assert result.err.startswith(
        f"{name}={host} can be reached from other machines, and --dev is for this one."
    )


def test_the_modules_of_a_package_and_what_stands_beside_them_are_watched(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "team" / "menu").mkdir(parents=True)
    for name in ("team/__init__.py", "team/menu/pies.py", "team/test_pies.py", "helper.py", "test_team.py"):
        (folder / name).touch()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    (folder / "config" / "router.toml").write_text('[router]\nhandlers = ["team"]\n')
    files = WatchedFiles(load_settings({"SMS_ROUTER_CONFIG": str(folder / "config")}))
    watched = {str(path.relative_to(folder)) for path in files.code() if path.is_relative_to(folder)}
    assert watched == {
        "config/router.toml",
        "helper.py",
        "my_handlers.py",
        "team/__init__.py",
        "team/menu/pies.py",
    }
    assert {path.name for path in files.rules()} == {"keywords.toml", "menu.txt"}


@pytest.mark.parametrize(
    ("account", "is_open"),
    [({}, True), ({"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "t"}, False)],
)
def test_numbers_are_shown_beside_the_sandbox_only(
    folder: Path, account: dict[str, str], is_open: bool
) -> None:
    settings = load_settings({"SMS_ROUTER_CONFIG": str(folder / "config"), "WORKERS": "4", **account})
    settings = development_settings(settings)
    assert (settings.router.privacy == "open", settings.server.workers) == (is_open, 1)
