"""Finding plugins and loading them one by one, so that a broken one hurts nobody else."""

import inspect
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from recapito import hookspecs
from recapito.hookspecs import HOOK_API

__all__ = ["GROUP", "Candidate", "disabled_names", "find", "hook_names", "load", "objection"]

#: The entry-point group that plugins, the built-in three among them, are declared in.
GROUP = "recapito"


@dataclass(slots=True)
class Candidate:
    """One installed plugin: where it comes from, and what became of loading it."""

    name: str
    distribution: str
    version: str = ""
    entry_point: EntryPoint | None = None
    module: object | None = None
    fault: str = ""
    disabled: bool = False
    transports: list[str] = field(default_factory=list)
    hooks: tuple[str, ...] = ()

    @property
    def owns_its_name(self) -> bool:
        """True where the distribution is the one that the name belongs to: ``recapito-NAME``."""
        return _folded(self.distribution) == _folded(f"recapito-{self.name}")


def hook_names() -> frozenset[str]:
    """The names of all hooks."""
    return frozenset(name for name in vars(hookspecs) if name.startswith("recapito_"))


def disabled_names() -> frozenset[str]:
    """Plugins that ``RECAPITO_DISABLE_PLUGINS`` switches off (names or distributions, with commas between)."""
    return frozenset(
        _folded(name) for name in os.environ.get("RECAPITO_DISABLE_PLUGINS", "").split(",") if name.strip()
    )


def find() -> list[Candidate]:
    """Every installed plugin in order of distribution name; none of them is imported."""
    off = disabled_names()
    found = [
        Candidate(
            name=point.name,
            distribution=point.dist.name if point.dist else "",
            version=point.dist.version if point.dist else "",
            entry_point=point,
            disabled=bool({_folded(point.name), _folded(point.dist.name if point.dist else "")} & off),
        )
        for point in entry_points(group=GROUP)
    ]
    found.sort(key=lambda each: (_folded(each.distribution), each.name))
    _settle_claims([each for each in found if not each.disabled])
    return found


def load(candidate: Candidate) -> None:
    """Import the plugin's module; whatever goes wrong becomes its fault."""
    assert candidate.entry_point is not None
    try:
        candidate.module = candidate.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # noqa: BLE001 - a plugin that calls sys.exit must not end the host
        candidate.fault = f"cannot be imported: {type(exc).__name__}: {exc}"
        return
    candidate.fault = objection(candidate.module)
    if not candidate.fault:
        candidate.hooks = tuple(name for name, _ in _implementations(candidate.module))


def objection(plugin: object) -> str:
    """Why this module or object cannot be a plugin; empty where nothing is wrong with it."""
    # A plugin that does not say was written for the first version: it must not pass for a later one.
    built_for = getattr(plugin, "RECAPITO_HOOK_API", (1, 0))
    if not _fits(built_for):
        return f"was built for hook API {built_for!r}; this recapito has {HOOK_API[0]}.{HOOK_API[1]}"
    known = hook_names()
    implemented = dict(_implementations(plugin))
    for name, function in implemented.items():
        if name not in known:
            return f"implements {name}, which is no hook (known: {', '.join(sorted(known))})"
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            return f"{name} is async; hooks are plain functions"
        if getattr(function, "recapito_impl", {}).get("wrapper"):
            return f"{name} is a wrapper; hooks are called one by one and cannot be wrapped"
        if extra := _unknown_arguments(name, function):
            return f"{name} takes {', '.join(extra)}, which the hook does not offer"
    unmarked = [name for name in dir(plugin) if name in known and name not in implemented]
    if unmarked and plugin is not hookspecs:
        return f"{unmarked[0]} is not marked with @hookimpl"
    return ""


def _implementations(plugin: object) -> Iterator[tuple[str, object]]:
    for name in dir(plugin):
        if name.startswith("__"):
            continue
        # A module may have a lazy __getattr__: looking for hooks must not import what it offers.
        static = isinstance(plugin, ModuleType)
        value = inspect.getattr_static(plugin, name) if static else getattr(plugin, name, None)
        if isinstance(getattr(value, "recapito_impl", None), dict):
            yield name, value


def _unknown_arguments(name: str, function: object) -> list[str]:
    offered = inspect.signature(getattr(hookspecs, name)).parameters
    assert callable(function)
    return [argument for argument in inspect.signature(function).parameters if argument not in offered]


def _fits(built_for: object) -> bool:
    match built_for:
        case (int() as major, int() as minor):
            return major == HOOK_API[0] and minor <= HOOK_API[1]
        case _:
            return False


def _settle_claims(candidates: Iterable[Candidate]) -> None:
    claims = list(candidates)
    counts = Counter(each.name for each in claims)
    for each in claims:
        if counts[each.name] > 1 and not each.owns_its_name:
            rivals = [other.distribution for other in claims if other.name == each.name and other is not each]
            owner = "recapito-" + each.name.replace("_", "-")
            each.fault = f"the name {each.name} is also claimed by {', '.join(rivals)}; it belongs to {owner}"


def _folded(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-")
