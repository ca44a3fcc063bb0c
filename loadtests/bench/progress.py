"""Saying what is being measured, without costing what is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Step = Callable[[str], None]
"""Called with what begins now; what was under way is done."""


@contextmanager
def steps(console: Console, total: int) -> Iterator[Step]:
    """Show how far a part of the run is; where the output is no terminal, a line for each step."""
    if not console.is_terminal:
        yield lambda doing: console.print(doing, markup=False, highlight=False)
        return
    with _bar(console) as progress:
        task = progress.add_task("", total=total, completed=-1)

        def step(doing: str) -> None:
            progress.update(task, description=doing, advance=1, refresh=True)

        yield step


def _bar(console: Console) -> Progress:
    """Return a display that is drawn between the turns only: drawing costs the load generator's core."""
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
    )
