"""``python -m loadtests.mutation``: plant faults in the pure core and the Lua scripts (`make mutate`)."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from loadtests.mutation import lua, python
from loadtests.mutation.mutant import Equivalents, Mutant

REQUIRED = 0.95
"""Share of the mutants that tests must detect, without the equivalent ones."""

command = typer.Typer(add_completion=False)

AREAS: dict[str, Callable[[Path, random.Random, int], list[Mutant]]] = {
    **{name: area.run for name, area in python.AREAS.items()},
    **{name: area.run for name, area in lua.AREAS.items()},
}


@command.command()
def mutate(
    *,
    only: Annotated[str, typer.Option(help=f"One of {', '.join(AREAS)}; default: all.")] = "",
    mutants: Annotated[int, typer.Option(min=1, help="Mutants to plant in each area.")] = 60,
    seed: Annotated[int, typer.Option(help="Chooses the mutants; the same seed chooses the same ones.")] = 1,
) -> None:
    """Plant a sample of small faults in each area and run the area's own tests against each.

    Lists the faults that no test detected. Exits with 1 when fewer than 95 % were detected, or
    equivalents.toml names a line that is no longer there.
    """
    if only and only not in AREAS:
        raise typer.BadParameter(f"unknown area {only}; there are {', '.join(AREAS)}", param_hint="--only")
    console, equivalents = Console(highlight=False), Equivalents.load()
    table = Table("module", "mutants", "noticed", "equivalent", "survived", box=None)
    planted: list[Mutant] = []
    for area in [only] if only else AREAS:
        console.print(f"{area} ...", style="dim")
        with TemporaryDirectory(prefix="sms-mutation-") as folder:
            found = AREAS[area](Path(folder), random.Random(seed), mutants)
        for module in sorted({mutant.module for mutant in found}):
            group = [mutant for mutant in found if mutant.module == module]
            same = [mutant for mutant in group if not mutant.noticed and mutant in equivalents]
            noticed = sum(mutant.noticed for mutant in group)
            counts = (len(group), noticed, len(same), len(group) - noticed - len(same))
            table.add_row(module, *map(str, counts))
        planted += found
    console.print(table)
    survivors = [mutant for mutant in planted if not mutant.noticed and mutant not in equivalents]
    for mutant in survivors:
        text = f"\n{mutant.module}, {mutant.place}\n  - {mutant.before}\n  + {mutant.after}"
        console.print(text, markup=False, soft_wrap=True)
    counted = sum(mutant.noticed for mutant in planted) + len(survivors)
    share = 1 - len(survivors) / max(counted, 1)
    console.print(f"\n{share:.1%} of {counted} mutants were noticed (seed {seed}).")
    stale = equivalents.stale()
    for sentence in stale:
        console.print(sentence, markup=False, soft_wrap=True)
    if share < REQUIRED or stale:
        raise typer.Exit(1)


if __name__ == "__main__":
    command()
