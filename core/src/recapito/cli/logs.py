"""What recapito logs, on standard error: warnings and errors in a line each, everything with ``--verbose``."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recapito.cli.output import Output

__all__ = ["logging_to"]


class _ToOutput(logging.Handler):
    def __init__(self, output: "Output") -> None:
        super().__init__(logging.DEBUG if output.verbose else logging.WARNING)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.name}: {record.getMessage()}"
        if self._output.verbose and record.exc_info:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        # Both ways through the redaction: a log may have come from anywhere.
        self._output.complain(text) if record.levelno >= logging.WARNING else self._output.detail(text)


@contextmanager
def logging_to(output: "Output") -> Iterator[None]:
    """While the block runs, the logger ``recapito`` writes to ``output``, and nowhere else."""
    logger = logging.getLogger("recapito")
    handler = _ToOutput(output)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(handler.level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
