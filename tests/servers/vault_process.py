"""A process of its own that needs a token: says when it is ready, waits for a line, and prints what it got.

``vault_process.py DATABASE PORT GRANT [how=value …]``, with ``kind=app``, ``lease=SECONDS``, ``hang=1`` (it stops
between the answer and the save), ``ahead=HOURS`` (its clock) and ``tell=1`` (whether it has the lease).
"""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

from rotating_vendor import RotatingSignIn, holder_of

from recapito.errors import RecapitoError
from recapito.oauth.vault import Vault
from recapito.store import Store


def put_ahead(hours: float) -> None:
    right = time.time
    time.time = lambda: right() + hours * 3600


async def hang() -> None:
    print("answered", flush=True)
    await asyncio.sleep(60)


class Telling:
    """Says whether the first lease was had."""

    said = False

    async def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        result = await asyncio.to_thread(function, *args, **kwargs)
        if function.__name__ == "lease_grant" and not self.said:
            self.said = True
            print("leads" if result else "waits", flush=True)
        return result


async def main(database: str, port: int, grant: str, how: dict[str, str]) -> None:
    if "ahead" in how:
        put_ahead(float(how["ahead"]))
    kind: Any = how.get("kind", "code")
    sign_in = RotatingSignIn(port, kind=kind, answered=hang if "hang" in how else None)
    with Store.open(database) as store:
        in_thread = Telling() if "tell" in how else asyncio.to_thread
        vault = Vault(store, in_thread, lease_seconds=float(how.get("lease", 30)))
        holder = holder_of(sign_in, grant)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        try:
            token = await vault.token(holder, "mail")
            print(token.value.reveal(), flush=True)
        except RecapitoError as exc:
            print(exc.problem.code, flush=True)


if __name__ == "__main__":
    options = dict(each.split("=", 1) for each in sys.argv[4:])
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], options))
