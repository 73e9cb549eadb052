"""How a training run tells its user where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as bars
from rich.console import Console

from snn2chip.training.loop import Epoch

Progress = Callable[[Epoch, int], None]


@contextmanager
def reporting(progress: Progress | None, title: str, epochs: int) -> Iterator[Progress]:
    """``progress`` itself, or a bar on standard error that a pipe never sees."""
    if progress is not None:
        yield progress
        return
    console = Console(stderr=True)
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn())
    with bars.Progress(*columns, bars.TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=epochs)

        def show(record: Epoch, _: int) -> None:
            accuracy = f"{title}  validation {100 * record.validation_accuracy:.1f} %"
            bar.update(task, completed=record.epoch + 1, description=accuracy)

        yield show
