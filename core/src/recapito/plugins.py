"""What is installed, what is wrong with it, and the hooks, called one implementation at a time."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from functools import cached_property
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any, Self

import pluggy

from recapito import hookspecs, loading
from recapito.errors import Misconfigured, NotFound, Refused
from recapito.hookspecs import Change, Subject
from recapito.loading import Candidate
from recapito.message import AnyMessage, Message
from recapito.problem import Problem
from recapito.profile import Profile
from recapito.receipt import Receipt
from recapito.register import Registered
from recapito.texts import Phrase
from recapito.transport import ClientInfo, Transport, TransportInfo

if TYPE_CHECKING:
    from recapito.catalogue import Catalogue

__all__ = ["Fault", "Installed", "Plugins"]

log = logging.getLogger("recapito.plugins")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a plugin. The others work all the same."""

    plugin: str
    distribution: str
    reason: str


@dataclass(frozen=True, slots=True)
class Installed:
    """One installed plugin; ``state`` is ``on``, ``off`` (RECAPITO_DISABLE_PLUGINS) or ``fault``."""

    name: str
    distribution: str
    version: str
    state: str
    transports: tuple[str, ...]
    hooks: tuple[str, ...]


class Plugins:
    """The plugins of this process. Make it with :meth:`load`; any thread may use it."""

    def __init__(self, candidates: Sequence[Candidate], transports: Iterable[TransportInfo] = ()) -> None:
        self._candidates = list(candidates)
        self._manager = pluggy.PluginManager("recapito")
        self._manager.add_hookspecs(hookspecs)
        self._registered = Registered()
        self._made: dict[str, Transport] = {}
        for candidate in self._candidates:
            if candidate.module is not None and not candidate.fault:
                self._add(candidate)
        self._registered.settle()
        self._registered.claim_for_host(transports)
        self._order = {id(each.module): place for place, each in enumerate(self._candidates)}
        self._implementations = {name: self._sorted(name) for name in loading.hook_names()}

    @classmethod
    def load(cls, hooks: Iterable[object] = (), transports: Iterable[TransportInfo] = ()) -> Self:
        """All installed plugins, then the host's own: ``hooks`` are modules, objects or dotted module names.

        ``transports`` are offered besides those of plugins, and win where names clash. Raises Misconfigured
        where one of the host's own hooks cannot be used; a plugin's fault is only recorded.
        """
        candidates = loading.find()
        for candidate in candidates:
            if not candidate.disabled and not candidate.fault:
                loading.load(candidate)
        own = [_host_candidate(each) for each in hooks]
        plugins = cls([*candidates, *own], transports)
        for each in own:
            if each.fault:
                raise _broken_hooks(each.name, each.fault)
        return plugins

    @property
    def transports(self) -> Mapping[str, TransportInfo]:
        """The transports on offer, by name."""
        return self._registered.transports

    @property
    def clients(self) -> Mapping[str, ClientInfo]:
        """The kinds of OAuth registration, by name."""
        return self._registered.clients

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong, by plugin; claims that the catalogue could not grant are among them."""
        own = [Fault(each.name, each.distribution, each.fault) for each in self._candidates if each.fault]
        return (*own, *(Fault("catalogue", "", reason) for reason in self.catalogue.faults))

    @property
    def installed(self) -> tuple[Installed, ...]:
        """Every plugin that was found, whatever became of it."""
        return tuple(
            Installed(
                each.name,
                each.distribution,
                each.version,
                "off" if each.disabled else "fault" if each.fault else "on",
                tuple(each.transports),
                each.hooks,
            )
            for each in self._candidates
        )

    @cached_property
    def catalogue(self) -> "Catalogue":
        """The catalogue with what plugins added."""
        from recapito.catalogue import builtin

        added = self._registered
        if not (added.providers or added.ways or added.rules):
            return builtin()
        return builtin().with_(providers=added.providers, ways=added.ways, rules=added.rules)

    def info(self, name: str) -> TransportInfo:
        """The transport of that name; NotFound (TRANSPORT-UNKNOWN) says what is wrong or what to install."""
        try:
            return self.transports[name]
        except KeyError:
            raise NotFound(self._unknown(name)) from None

    def transport(self, name: str) -> Transport:
        """The transport itself, made once. Its module is imported now; Misconfigured where that fails."""
        if name not in self._made:
            info = self.info(name)
            try:
                self._made[name] = info.factory()
            except Exception as exc:
                from recapito.catalogue import problem

                reason = f"{type(exc).__name__}: {exc}"
                raise Misconfigured(problem("TRANSPORT-BROKEN", transport=name, reason=reason)) from exc
        return self._made[name]

    def implements(self, hook: str) -> bool:
        """Whether anybody implements ``hook``; the caller then skips the call and what leads to it."""
        return bool(self._implementations[hook])

    def prepare_message(self, profile: Profile, message: AnyMessage) -> AnyMessage:
        """What the ``recapito_prepare_message`` implementations made of ``message``; Refused passes through."""
        for call in self._calls("recapito_prepare_message"):
            result = call(profile=profile, message=message)
            if result is None or result is message:
                continue
            if _may_replace(message, result):
                message = result
            else:
                call.complain(f"returned {type(result).__name__} for {type(message).__name__}")
        return message

    def record_receipt(self, profile: Profile, receipt: Receipt) -> None:
        """Tell every ``recapito_record_receipt`` implementation."""
        for call in self._calls("recapito_record_receipt"):
            call(profile=profile, receipt=receipt)

    def record_change(self, profile: Profile, change: Change) -> None:
        """Tell every ``recapito_record_change`` implementation."""
        for call in self._calls("recapito_record_change"):
            call(profile=profile, change=change)

    def request_attention(self, subject: Subject, problem: Problem) -> None:
        """Tell every ``recapito_request_attention`` implementation."""
        for call in self._calls("recapito_request_attention"):
            call(subject=subject, problem=problem)

    def _add(self, candidate: Candidate) -> None:
        """Register one plugin, and let it offer what it has; all of it, or nothing."""
        offered = Registered()
        try:
            self._manager.register(candidate.module, name=self._unique(candidate))
            self._offer(candidate, "recapito_register_transports", offered)
            self._offer(candidate, "recapito_register_providers", offered)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001 - whatever a plugin raises is its own fault, sys.exit too
            candidate.fault = f"failed while registering: {type(exc).__name__}: {exc}"
            if self._manager.is_registered(candidate.module):
                self._manager.unregister(candidate.module)
            return
        candidate.transports = [info.name for info, _ in offered.offers]
        self._registered.take(offered, candidate)

    def _unique(self, candidate: Candidate) -> str:
        """What the plugin is called in reports; several hooks of the host may be of one class."""
        name = (
            candidate.name if not candidate.distribution else f"{candidate.name} ({candidate.distribution})"
        )
        taken = sum(1 for other, _ in self._manager.list_name_plugin() if other.partition(" #")[0] == name)
        return f"{name} #{taken + 1}" if taken else name

    def _offer(self, candidate: Candidate, hook: str, register: Registered) -> None:
        if hook in candidate.hooks:
            getattr(candidate.module, hook)(register)

    def _sorted(self, hook: str) -> "list[pluggy.HookImpl]":
        found = getattr(self._manager.hook, hook).get_hookimpls()
        return sorted(found, key=lambda each: self._order[id(each.plugin)])

    def _calls(self, hook: str) -> Iterator["_Call"]:
        for implementation in self._implementations[hook]:
            yield _Call(hook, implementation)

    def _unknown(self, name: str) -> Problem:
        from recapito.catalogue import problem

        for each in self._candidates:
            if name in (each.name, *each.transports) and (each.fault or each.disabled):
                reason = each.fault or Phrase("RECAPITO_DISABLE_PLUGINS switches it off")
                where = each.distribution or each.name
                return problem("TRANSPORT-FAULT", transport=name, distribution=where, reason=reason)
        package = "recapito-" + name.replace("_", "-")
        known = ", ".join(sorted(self.transports)) or "-"
        return problem("TRANSPORT-UNKNOWN", transport=name, package=package, known=known)


@dataclass(slots=True)
class _Call:
    """One implementation, about to be called. What it raises is reported under its plugin's name."""

    hook: str
    implementation: "pluggy.HookImpl"

    def __call__(self, **arguments: Any) -> Any:
        try:
            return self.implementation.function(*(arguments[name] for name in self.implementation.argnames))
        except Refused:
            if self.hook == "recapito_prepare_message":
                raise
            self.complain("raised Refused, which only recapito_prepare_message may")
        except BaseException as exc:  # a hook's failure changes no outcome, sys.exit neither
            # Ctrl-C is heard in the main thread alone: anywhere else the hook made it up.
            if isinstance(exc, KeyboardInterrupt) and current_thread() is main_thread():
                raise
            self.complain(f"raised {type(exc).__name__}", exc)
        return None

    def complain(self, what: str, exc: BaseException | None = None) -> None:
        log.error("%s: %s %s", self.implementation.plugin_name, self.hook, what, exc_info=exc)


def _may_replace(message: AnyMessage, result: object) -> bool:
    if isinstance(message, bytes):
        return False
    return isinstance(result, EmailMessage if isinstance(message, EmailMessage) else Message)


def _host_candidate(hooks: object) -> Candidate:
    """The host's own hooks: what is wrong with them is the host's to know at once."""
    name = hooks if isinstance(hooks, str) else getattr(hooks, "__name__", type(hooks).__name__)
    module: object = hooks
    reason = ""
    if isinstance(hooks, str):
        module, reason = _imported(hooks)
    reason = reason or loading.objection(module)
    if reason:
        raise _broken_hooks(name, reason)
    implemented = tuple(each for each in loading.hook_names() if hasattr(module, each))
    return Candidate(name, "", module=module, hooks=implemented)


def _broken_hooks(name: str, reason: str) -> Misconfigured:
    from recapito.catalogue import problem

    return Misconfigured(problem("HOOKS-BROKEN", name=name, reason=reason))


def _imported(name: str) -> tuple[object, str]:
    from importlib import import_module

    load: Callable[[str], object] = import_module
    try:
        return load(name), ""
    except Exception as exc:  # noqa: BLE001 - whatever the host's module raises is told with its name
        return None, f"cannot be imported: {type(exc).__name__}: {exc}"
