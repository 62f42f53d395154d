"""Progress of bulk commands: a bar on a terminal that has rich, plain lines elsewhere, nothing with ``--quiet``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from recapito.cli.output import Output, wants_colour

__all__ = ["progress"]

#: Called with how much is done and how much there is.
Step = Callable[[int, int], None]


@contextmanager
def progress(output: Output, what: str, shown: Callable[[], str] | None = None) -> Iterator[Step]:
    """A function to call after each part. Lines elsewhere than on a terminal: at most one for every tenth.

    ``shown`` says what stands before the bar, anew at each step.
    """
    if output.quiet:
        yield _nothing
        return
    if sys.stderr.isatty():
        try:
            import rich.progress
        except ModuleNotFoundError:
            pass
        else:
            from rich.console import Console

            console = Console(stderr=True, no_color=not wants_colour(output.color, sys.stderr))
            columns = (*rich.progress.Progress.get_default_columns(), rich.progress.MofNCompleteColumn())
            with rich.progress.Progress(*columns, console=console, transient=True) as bar:
                task = bar.add_task(what, total=None)
                yield lambda done, total: bar.update(
                    task, completed=done, total=total, description=shown() if shown else what
                )
            return
    yield _lines(output, what)


def _nothing(_done: int, _total: int) -> None:
    """Progress that nobody wants to see."""


def _lines(output: Output, what: str) -> Step:
    told = [0]

    def step(done: int, total: int) -> None:
        if done == total or done * 10 // max(total, 1) > told[0]:
            told[0] = done * 10 // max(total, 1)
            output.note(f"{what}: {done}/{total}")

    return step
