"""The root command, and how a run ends: every error becomes a text for a person and an exit code for a script."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from recapito.cli.about import about
from recapito.cli.command import LazyGroup
from recapito.cli.run import Run
from recapito.cli.streams import discard_output, open_streams
from recapito.cli.words import N_, asked, speaking
from recapito.texts import LANGUAGES, preferred_language

__all__ = ["root", "run"]

_COMMANDS = {
    "profile": ("recapito.cli.profile:profile", N_("Profiles: list, show, set, remove, pause, import…")),
    "check": ("recapito.cli.check:check", N_("Try a profile step by step.")),
    "send": ("recapito.cli.send:send", N_("Send one message.")),
    "send-many": ("recapito.cli.send_many:send_many", N_("Send many messages: a CSV file, or a folder.")),
    "auth": ("recapito.cli.auth:auth", N_("Sign in with Google or Microsoft; the company's clients.")),
    "health": ("recapito.cli.health:health", N_("Renew sign-ins, and find those that are dead.")),
    "providers": ("recapito.cli.providers:providers", N_("Mail providers that are known.")),
    "plugins": ("recapito.cli.plugins:plugins", N_("Installed plugins and what is wrong with them.")),
    "explain": ("recapito.cli.explain:explain", N_("What a code or a server's reply means.")),
    "audit": ("recapito.cli.audit:audit", N_("Who changed what.")),
    "keys": ("recapito.cli.keys:keys", N_("Keys that encrypt the stored secrets.")),
    "db": ("recapito.cli.db:db", N_("The store's tables.")),
    "config": ("recapito.cli.settings:config", N_("Settings and where they come from.")),
    "demo": ("recapito.cli.demo:demo", N_("Watch it work: needs nothing, under 5 seconds.")),
}


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001 - click's signature
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"recapito {version('recapito')}")
        ctx.exit()


root = LazyGroup(
    "recapito",
    lazy=_COMMANDS,
    help=N_("Every operator of an application sends mail through their own mailbox."),
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help=N_("Show the version and exit."),
        )
    ],
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with ``arguments`` (default: the process's own); the exit code."""
    given = [_as_utf8(each) for each in sys.argv[1:]] if arguments is None else list(arguments)
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        # A text that the terminal's encoding lacks must not end the run.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    this = Run()
    about.set(None)
    with speaking(_language(given)):
        try:
            ended: Any = root.main(given, prog_name="recapito", standalone_mode=False, obj=this)
            this.close()
        except SystemExit:  # click's answer to a broken pipe, which only help and usage still meet
            discard_output()
            ended = 1
        except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001 - told, never shown as a traceback
            from recapito.cli.failures import ended_badly

            ended = ended_badly(exc, this, as_json="--json" in given)
            this.close()
    return int(ended or 0)


def _as_utf8(argument: str) -> str:
    """``argument`` as the text that was typed, where the locale is not UTF-8 and the terminal is."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeDecodeError:
        return argument


def _language(given: Sequence[str]) -> str:
    """The language of this run, needed before the arguments are parsed: help and usage errors come while they are."""
    named = asked(given, "--lang")
    if named in LANGUAGES:
        return named
    # A version has no language: it is not worth reading a file for.
    if os.environ.get("RECAPITO_LANG") or "--version" in given:
        return preferred_language()
    from recapito.cli.config import Config, ConfigError

    try:
        configured = Config({}, asked(given, "--config"))["lang"]
    except ConfigError:  # told when the command reads the file itself
        configured = None
    return configured if configured in LANGUAGES else preferred_language()
