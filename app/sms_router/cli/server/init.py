"""``sms-router init``: a starter project, from the files of the demo."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

from typer import Argument

from sms_router.cli.output import CommandError, print_line, program
from sms_router.config.settings import DEFAULT_FOLDER, DEMO_FOLDER, DEMO_HANDLERS

_TEST = """\
from sms_router.testing import SmsTester


def test_ping_is_answered(sms: SmsTester) -> None:
    assert sms.text("PING").texts[0] == "pong"


def test_echo_repeats_the_text(sms: SmsTester) -> None:
    assert sms.text("ECHO a pie").text == "You texted 12345: a pie"
    assert sms.text("ECHO").text == "You texted 12345: nothing"


def test_hours_are_those_of_keywords_toml(sms: SmsTester) -> None:
    assert sms.text("hours").text.startswith("We are open 9 to 5")
"""


def init(
    folder: Annotated[
        Path, Argument(metavar="FOLDER", help="The folder of the project; it is made where needed.")
    ] = Path(),
) -> None:
    """Write a starter project: configuration, a handler, its test.

    The files are those of the demo, with comments. Nothing is overwritten.
    """
    contents = {".gitignore": b".data/\n__pycache__/\n", "test_handlers.py": _TEST.encode()}
    for source, target in ((DEMO_FOLDER, DEFAULT_FOLDER), (DEMO_HANDLERS, "handlers")):
        contents |= {
            f"{target}/{file.relative_to(source)}": file.read_bytes()
            for file in sorted(source.rglob("*"))
            if file.is_file() and file.suffix != ".pyc"
        }
    if existing := [name for name in contents if name != ".gitignore" and (folder / name).exists()]:
        raise CommandError(
            f"{folder / existing[0]} exists; nothing was written.",
            f"Name another folder: {program()} init {shlex.quote(f'{folder.resolve().name}-2')}",
        )
    try:
        for name, content in contents.items():
            file = folder / name
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
    except OSError as error:
        raise CommandError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
    change, run = "", program()
    if folder.resolve() != Path.cwd():
        change = f"  cd {shlex.quote(str(folder))}"
        run = run if "/" not in run or run.startswith("/") else f"{shlex.quote(str(Path.cwd()))}/{run}"
    for line in (
        "config/ has the settings and keywords, handlers/ the functions that reply.",
        "\nStart the router, with an offline Twilio:",
        *([change] if change else []),
        f"  {run} serve",
        "\nRun its tests (pip install pytest), in the same folder:",
        f"  {shlex.quote(sys.executable)} -m pytest",
    ):
        print_line(line)
