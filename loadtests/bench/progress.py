"""Shows the progress, without using CPU while something is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Step = Callable[[str], None]
"""Called with the name of the step that begins."""


@contextmanager
def steps(console: Console, total: int) -> Iterator[Step]:
    """Show a progress bar; if the output is not a terminal, a line per step."""
    if not console.is_terminal:
        yield lambda name: console.print(name, markup=False, highlight=False)
        return
    with _bar(console) as progress:
        task = progress.add_task("", total=total, completed=-1)

        def step(name: str) -> None:
            progress.update(task, description=name, advance=1, refresh=True)

        yield step


def _bar(console: Console) -> Progress:
    """Return a bar that is drawn between measurements only: drawing uses the generator's core."""
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
    )
