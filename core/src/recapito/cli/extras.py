"""Which extra a command needs, and the line that installs it here: from a registry, a file or a checkout."""

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit

from recapito.cli.words import _

__all__ = ["install_command", "missing"]


def missing(extra: str, module: str) -> str:
    """What to say where ``module``, which ``extra`` brings, is not installed."""
    return _("{module} is not installed. The extra “{extra}” brings it: {command}").format(
        module=module, extra=extra, command=install_command(extra)
    )


def install_command(extra: str) -> str:
    """The command that installs ``extra`` from where this recapito was installed from (PEP 610)."""
    try:
        origin = json.loads(distribution("recapito").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        origin = {}
    url = str(origin.get("url", ""))
    if not url.startswith("file:"):
        return f"pip install 'recapito[{extra}]'"
    path = unquote(urlsplit(url).path)
    if origin.get("dir_info", {}).get("editable"):
        return f"pip install -e {shlex.quote(f'{path}[{extra}]')}"
    return f"pip install {shlex.quote(f'recapito[{extra}] @ {url}')}"
