"""One run of the command line: its flags and settings, and what it has opened, each at first use."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

from recapito.cli.config import Config
from recapito.cli.words import _

if TYPE_CHECKING:
    from recapito.blocking import Mailer
    from recapito.cli.output import Output
    from recapito.operators import Operators
    from recapito.plugins import Plugins
    from recapito.profile import ProfileKey
    from recapito.secret import Secret
    from recapito.store import Store

__all__ = ["Run", "Sending", "pass_run"]

#: In either language, whatever the question was asked in: a person answers in their own.
_YES = ("y", "yes", "s", "si", "sì")
_NO = ("", "n", "no")

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class Sending:
    """What is known of a send before there is a receipt: a failure prints it.

    ``handed_over`` is True from the moment at which the content may be on its way.
    """

    recipients: tuple[str, ...] = ()
    reference: str | None = None
    started: float = field(default_factory=time.monotonic)
    handed_over: bool = False
    #: The run's exit code, once there is a receipt: no failure to show it may change what a script is told.
    code: int | None = None


class Run:
    """What every command is handed first. ``flags`` are the global ones that were given, by name."""

    def __init__(self) -> None:
        self.flags: dict[str, Any] = {}
        #: The command's name, once it is known: what a failed ``send`` prints differs.
        self.noun = ""
        self.sending = Sending()
        self._opened = ExitStack()

    @cached_property
    def config(self) -> Config:
        """The settings; read at first use, when all flags are known."""
        arguments = {name: self.flags.get(name) for name in ("lang", "color")}
        return Config(arguments, self.flags.get("config"))

    @cached_property
    def output(self) -> "Output":
        """The two streams."""
        from recapito.cli.logs import logging_to
        from recapito.cli.output import Output

        output = Output(
            as_json=bool(self.flags.get("as_json")),
            quiet=bool(self.flags.get("quiet")),
            verbose=bool(self.flags.get("verbose")),
            color=self.config["color"] or "auto",
        )
        self._opened.enter_context(logging_to(output))
        return output

    @cached_property
    def by(self) -> str:
        """Under whose name changes are recorded: the setting ``by``, else the user of this machine."""
        if named := self.config["by"]:
            return str(named)
        import getpass

        try:
            return getpass.getuser()
        except (OSError, KeyError):  # a container without a user database
            return "command line"

    @cached_property
    def plugins(self) -> "Plugins":
        """The installed plugins, with the host's hooks that the configuration names."""
        import os

        from recapito.plugins import Plugins

        self._import_from_here()
        if off := self.config["disable_plugins"]:
            os.environ.setdefault("RECAPITO_DISABLE_PLUGINS", ",".join(off))
        return Plugins.load(hooks=self.config["hooks"])

    def store(self, *, create: bool = False, upgrade: bool = False) -> "Store":
        """The store; ``create`` makes it where there is none yet, which only commands that write do.

        ``upgrade`` brings older tables to this version.
        """
        if not hasattr(self, "_store"):
            from recapito.store import Store

            opened = (  # the URL may hold a password: no variable of this frame keeps it
                Store.create(self.config["database"], upgrade=upgrade)
                if create
                else Store.open(self.config["database"])
            )
            self._store = self._opened.enter_context(opened)
        return self._store

    def operators(self, *, create: bool = False) -> "Operators":
        """The one door for changes of profiles."""
        from recapito.operators import Operators

        return Operators(self.store(create=create), self.plugins)

    def mailer(self) -> "Mailer":
        """A mailer on the store, with the hooks that the configuration names."""
        if not hasattr(self, "_mailer"):
            from recapito.blocking import Mailer

            self._import_from_here()
            store = self.store()
            mailer = Mailer(store, store=store, hooks=self.config["hooks"])
            self._mailer = self._opened.enter_context(mailer)
        return self._mailer

    def key(self, operator: str, profile: str = "default", company: str | None = None) -> "ProfileKey":
        """The profile's key; the company is the configured one where none is named."""
        from recapito.cli.about import about
        from recapito.profile import ProfileKey

        key = ProfileKey(self.company(company), operator, profile)
        about.set(key)
        return key

    def company(self, named: str | None) -> str:
        """``named``, else the configured company, else the empty one."""
        return named if named is not None else (self.config["company"] or "")

    @property
    def may_ask(self) -> bool:
        """Whether a person can answer: a terminal on both sides, and no ``--no-input``."""
        return not self.flags.get("no_input") and sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, question: str) -> bool:
        """The answer of a person, or of ``--yes``; a usage error naming ``--yes`` where nobody can be asked."""
        from recapito.cli.output import visible

        if self.flags.get("yes"):
            return True
        question = visible(question)
        if not self.may_ask:
            raise click.UsageError(_("{question} Answer with --yes.").format(question=question))
        while True:
            asked = " ".join((question, _("[y/N]")))
            answer = click.prompt(asked, default="", show_default=False, err=True).strip().lower()
            if answer in _YES or answer in _NO:
                return answer in _YES
            self.output.note(_("Answer y or n."))

    def ask_secret(self, question: str, *, instead: str) -> "Secret":
        """A secret that a person types unseen; a usage error naming ``instead`` where nobody can be asked."""
        from recapito.secret import Secret

        if not self.may_ask:
            raise click.UsageError(
                _("{question} is needed. Give it with {option}.").format(question=question, option=instead)
            )
        typed = Secret(click.prompt(question, hide_input=True, err=True, default="", show_default=False))
        self.output.keep_out(typed)
        return typed

    def read_secret(self) -> "Secret":
        """The secret that standard input holds; the one newline at its end does not belong to it."""
        from recapito.secret import Secret

        try:
            read = Secret(_without_newline(sys.stdin.buffer.read().decode()))
        except UnicodeDecodeError:
            raise click.UsageError(_("Standard input is not UTF-8 text.")) from None
        self.output.keep_out(read)
        return read

    def close(self) -> None:
        """Close what was opened."""
        self._opened.close()

    def _import_from_here(self) -> None:
        # hooks = ["erp.mail"] is found from the folder where the command runs, as python -m would find it.
        if self.config["hooks"] and "" not in sys.path:
            sys.path.insert(0, "")


def _without_newline(text: str) -> str:
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")


def pass_run(function: Callable[Concatenate["Run", P], R]) -> Callable[P, R]:
    """Hand the :class:`Run` to a command as its first argument."""

    @wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> R:
        run = click.get_current_context().find_object(Run)
        assert run is not None
        # Made before anything happens, so that what is logged meanwhile has somewhere to go.
        assert run.output
        return function(run, *args, **kwargs)

    return command
