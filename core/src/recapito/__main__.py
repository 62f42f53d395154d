"""``python -m recapito`` and the console script: the command line, where its extra is installed."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process with its exit code; 3 where the extra ``cli`` is missing."""
    try:
        from recapito.cli.main import run
    except ModuleNotFoundError as exc:
        if exc.name != "click":
            raise
        from recapito.cli.extras import missing

        sys.stderr.write(f"recapito: {missing('cli', 'click')}\n")
        sys.exit(3)
    sys.exit(run())


if __name__ == "__main__":
    main()
