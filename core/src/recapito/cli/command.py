"""Commands and groups: help in the language of the run, global flags everywhere, modules loaded when called."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

import click

from recapito.cli.run import Run
from recapito.cli.words import N_, _

__all__ = ["Command", "Group", "LazyGroup", "Option", "command", "option"]

F = TypeVar("F", bound=Callable[..., Any])


class Option(click.Option):
    """An option whose help is translated when it is shown; ``everywhere`` marks the global flags."""

    everywhere = False

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The option's names and what it does, in the language of the run."""
        record = super().get_help_record(ctx)
        if record is None or not self.help:
            return record
        return record[0], record[1].replace(self.help, _(self.help), 1)


class _Flag(Option):
    everywhere = True


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None and param.name:
        ctx.ensure_object(Run).flags[param.name] = value


def _flag(*names: str, text: str, **attributes: Any) -> _Flag:
    return _Flag(names, help=text, expose_value=False, callback=_keep, default=None, **attributes)


def _global_flags() -> list[click.Parameter]:
    on: dict[str, Any] = {"is_flag": True, "flag_value": True, "type": bool}
    return [
        _flag("--json", "as_json", text=N_("One JSON object on standard output; lists as JSON lines."), **on),
        _flag("--quiet", "-q", text=N_("No messages, only data and errors."), **on),
        _flag("--verbose", "-v", text=N_("Details on standard error."), **on),
        _flag("--yes", "-y", text=N_("Answer yes to every question."), **on),
        _flag("--no-input", text=N_("Never ask; fail instead, naming the option that answers."), **on),
        _flag(
            "--color",
            text=N_("When to use colour."),
            type=click.Choice(["auto", "always", "never"]),
        ),
        _flag("--lang", text=N_("Language of texts."), type=click.Choice(["it", "en"])),
        _flag("--config", text=N_("Configuration file, instead of recapito.toml."), metavar="FILE"),
    ]


class _Speaking(click.Command):
    """What commands and groups share: global flags, and help in the language of the run."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters, and the global flags that it has not given another meaning."""
        own = super().get_params(ctx)
        taken = {name for param in own for name in param.opts}
        if not hasattr(self, "_flags"):
            self._flags = _global_flags()
        return [*own, *(flag for flag in self._flags if not taken & set(flag.opts))]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The description, in the language of the run."""
        if self.help:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(_(self.help))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options, then the global ones; a group lists its commands in between."""
        sections: dict[str, list[tuple[str, str]]] = {_("Options"): [], _("Global options"): []}
        own, common = sections.values()
        for param in self.get_params(ctx):
            record = None if isinstance(param, click.Argument) else param.get_help_record(ctx)
            if record:
                (common if getattr(param, "everywhere", False) else own).append(record)
        for place, (title, records) in enumerate(sections.items()):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
            if place == 0 and isinstance(self, click.Group):
                self.format_commands(ctx, formatter)


class Command(_Speaking):
    """One verb."""

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 - click's signature
        """Its first sentence, in the language of the run."""
        return _(self.help or "").partition(". ")[0].rstrip(".")


class Group(_Speaking, click.Group):
    """One noun with its verbs, listed in the order in which they were written."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The verbs in the order in which they were written."""
        return list(self.commands)

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 - click's signature
        """Its first sentence, in the language of the run."""
        return _(self.help or "").partition(". ")[0].rstrip(".")


class LazyGroup(Group):
    """A group that knows its commands by name and short help, and imports a module only when it is called."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands in their fixed order."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, from its module."""
        if cmd_name not in self._lazy:
            return None
        module, _colon, name = self._lazy[cmd_name][0].partition(":")
        ctx.ensure_object(Run).noun = cmd_name
        found: click.Command = getattr(import_module(module), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Every command with its short help, none of them imported."""
        with formatter.section(_("Commands")):
            formatter.write_dl([(name, _(text)) for name, (_place, text) in self._lazy.items()])


def command(text: str, **attributes: Any) -> Callable[[Callable[..., Any]], Command]:
    """A command with ``text`` as its help, which is translated when it is shown."""
    return click.command(cls=Command, help=text, **attributes)


def option(*names: str, text: str, **attributes: Any) -> Callable[[F], F]:
    """An option with ``text`` as its help, which is translated when it is shown."""
    return click.option(*names, cls=Option, help=text, **attributes)
