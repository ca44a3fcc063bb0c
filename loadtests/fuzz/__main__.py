"""``python -m loadtests.fuzz``: fuzz the parsers with atheris (`make fuzz`)."""

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
"""The option with the name of the target that a process fuzzes."""

_IS_WORKER = sys.argv[1:2] == [WORKER]

with atheris.instrument_imports(include=["sms_router"]) if _IS_WORKER else nullcontext():
    from loadtests.fuzz.targets import TARGETS

MAX_INPUT = 4096
INPUT_TIMEOUT = 5
"""Seconds."""

MAX_MEMORY = 2048
"""Megabytes."""

command = typer.Typer(add_completion=False)


@command.command()
def fuzz(
    *,
    only: Annotated[str, typer.Option(help=f"One of {', '.join(TARGETS)}; default: all.")] = "",
    seconds: Annotated[int, typer.Option(min=1, help="Seconds per target.")] = 30,
) -> None:
    """Fuzz each target in its own process; exits with 1 when one fails.

    The input that failed is stored in loadtests/out/.
    """
    if only and only not in TARGETS:
        raise typer.BadParameter(
            f"unknown target {only}; there are {', '.join(TARGETS)}", param_hint="--only"
        )
    out = Path(__file__).resolve().parents[1] / "out"
    out.mkdir(exist_ok=True)
    failed = [name for name in ([only] if only else TARGETS) if not _run(name, seconds, out)]
    for name in failed:
        typer.echo(f"{name} failed; the input is in {out} as fuzz-{name}-*", err=True)
    if failed:
        raise typer.Exit(1)


def _run(name: str, seconds: int, out: Path) -> bool:
    with TemporaryDirectory(prefix="sms-fuzz-") as folder:
        for number, seed in enumerate(TARGETS[name].seeds):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        command_line = [
            *(sys.executable, "-m", "loadtests.fuzz", WORKER, name, folder),
            *(f"-max_total_time={seconds}", f"-max_len={MAX_INPUT}", f"-timeout={INPUT_TIMEOUT}"),
            *(f"-rss_limit_mb={MAX_MEMORY}", f"-artifact_prefix={out}/fuzz-{name}-", "-verbosity=0"),
            "-print_final_stats=1",
        ]
        process = subprocess.run(command_line, check=False, capture_output=True, text=True, errors="replace")
    inputs = re.search(r"number_of_executed_units: (\d+)", process.stderr)
    typer.echo(f"{name}: {int(inputs[1]) if inputs else 0:,} inputs")
    if process.returncode:
        typer.echo(process.stdout + process.stderr, err=True)
    return process.returncode == 0


def _fuzz_here(name: str, options: list[str]) -> None:
    """Fuzz one target; libFuzzer ends the process."""
    atheris.Setup([sys.argv[0], *options], TARGETS[name].read)
    atheris.Fuzz()


if __name__ == "__main__":
    if _IS_WORKER:
        _fuzz_here(sys.argv[2], sys.argv[3:])
    else:
        command()
