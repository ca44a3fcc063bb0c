"""``python -m loadtests.fuzz``: let atheris look for bytes that a reader cannot take (`make fuzz`)."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import atheris
import typer

WORKER = "--target"
"""What stands before the name where one process fuzzes one target."""

_AT_WORK = sys.argv[1:2] == [WORKER]

with atheris.instrument_imports(include=["sms_router"]) if _AT_WORK else nullcontext():
    from loadtests.fuzz.targets import TARGETS

LONGEST_INPUT = 4096
SLOWEST = 5
"""Seconds that one input may take."""

MOST_MEMORY = 2048
"""Megabytes."""

command = typer.Typer(add_completion=False)


@command.command()
def fuzz(
    *,
    only: Annotated[str, typer.Option(help=f"One of {', '.join(TARGETS)}; all when empty.")] = "",
    seconds: Annotated[int, typer.Option(min=1, help="How long each is fuzzed.")] = 30,
) -> None:
    """Fuzz every target, each in a process of its own; ends with 1 when one of them fails.

    What made it fail is kept in loadtests/out/.
    """
    if only and only not in TARGETS:
        raise typer.BadParameter(f"there is no {only}; there are {', '.join(TARGETS)}", param_hint="--only")
    found = Path(__file__).resolve().parents[1] / "out"
    found.mkdir(exist_ok=True)
    failed = [name for name in ([only] if only else TARGETS) if not _run(name, seconds, found)]
    for name in failed:
        typer.echo(f"{name} failed; the bytes are in {found} as fuzz-{name}-*", err=True)
    if failed:
        raise typer.Exit(1)


def _run(name: str, seconds: int, found: Path) -> bool:
    with TemporaryDirectory(prefix="sms-fuzz-") as folder:
        for number, seed in enumerate(TARGETS[name].seeds):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        command_line = [
            *(sys.executable, "-m", "loadtests.fuzz", WORKER, name, folder),
            *(f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", f"-timeout={SLOWEST}"),
            *(f"-rss_limit_mb={MOST_MEMORY}", f"-artifact_prefix={found}/fuzz-{name}-", "-verbosity=0"),
            "-print_final_stats=1",
        ]
        done = subprocess.run(command_line, check=False, capture_output=True, text=True, errors="replace")
    inputs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    typer.echo(f"{name}: {int(inputs[1]) if inputs else 0:,} inputs")
    if done.returncode:
        typer.echo(done.stdout + done.stderr, err=True)
    return done.returncode == 0


def _fuzz_here(name: str, options: list[str]) -> None:
    """Fuzz one target until its time is over; libFuzzer ends the process."""
    read = TARGETS[name].read
    atheris.Setup([sys.argv[0], *options], read)
    atheris.Fuzz()


if __name__ == "__main__":
    if _AT_WORK:
        _fuzz_here(sys.argv[2], sys.argv[3:])
    else:
        command()
