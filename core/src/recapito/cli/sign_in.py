"""How a person signs in from a terminal: the system's browser, a link to paste, or a code on another device."""

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import click

from recapito.cli.run import Run
from recapito.cli.words import _, language

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recapito.operators import Changes
    from recapito.profile import ProfileKey
    from recapito.signing import Begun, SignedIn

__all__ = ["By", "sign_in", "signed_data", "signed_lines"]


@dataclass(frozen=True, slots=True)
class By:
    """By what a person signs in: another device's browser, one on this machine without being opened, a fixed port."""

    device: bool = False
    no_browser: bool = False
    port: int | None = None


def sign_in(run: Run, key: "ProfileKey", by: By, changes: "Changes | None" = None) -> "SignedIn":
    """The sign-in, finished. Raises Held, NotSent and Misconfigured with the problem; Abort where a person gave up."""
    mailer = run.mailer()
    whom: dict[str, Any] = {"profile": key.name, "company": key.company, "by": run.by, "changes": changes}
    if by.device:
        begun = mailer.begin_sign_in(key.operator, kind="device", **whom)
        return _by_device(run, key, begun)
    template = _loopback(run, key, changes)
    if template is None:
        begun = mailer.begin_sign_in(key.operator, **whom)
        return _finished(run, key, {"state": begun.state})
    if by.no_browser:
        begun = mailer.begin_sign_in(key.operator, redirect_uri=_pasted_uri(template, by.port), **whom)
        return _finished(run, key, _pasted(run, begun))
    return asyncio.run(_by_browser(run, key, template, by.port, whom))


def signed_data(run: Run, done: "SignedIn") -> dict[str, Any]:
    """A finished sign-in, as ``--json`` prints it."""
    return {
        "company": done.key.company,
        "operator": done.key.operator,
        "profile": done.key.name,
        "account": done.account or None,
        "sender": done.sender,
        "scopes": sorted(done.scopes),
        "granted": done.granted.isoformat(),
        "next_check": done.next_check.isoformat(),
        "resumed": done.resumed,
        "kept": run.store().url,
    }


def signed_lines(run: Run, done: "SignedIn") -> "Iterator[str]":
    """A finished sign-in, for a person."""
    who = done.account or _("the application itself")
    yield run.output.mark("good", _("Signed in as {account}.").format(account=who))
    yield "  " + _("allowed: {scopes}").format(scopes=", ".join(sorted(done.scopes)) or "-")
    yield "  " + _("kept in {store}, encrypted").format(store=run.store().url)
    yield "  " + _("next check: {moment} (recapito health)").format(
        moment=f"{done.next_check.astimezone():%Y-%m-%d %H:%M}"
    )
    if done.resumed:
        yield "  " + _("{profile} runs again.").format(profile=done.key)


def _loopback(run: Run, key: "ProfileKey", changes: "Changes | None") -> str | None:
    """The client's template for a redirect to this machine; None where nobody in person signs in."""
    from recapito.access import NO_PERSON
    from recapito.catalogue import problem
    from recapito.errors import Misconfigured, NotFound
    from recapito.settings import completed

    if changes is not None:
        profile = run.operators().draft(key, changes).profile
    else:
        row = run.store().row(key)
        if row is None:
            raise NotFound(problem("PROFILE-UNKNOWN", profile=str(key), operator=key.operator))
        profile = row.profile
    info = run.plugins.info(profile.transport)
    profile = profile.with_(settings=completed(info.settings, profile.settings))
    make = info.sign_ins.get(info.sign_in(profile))
    if make is None:
        shown = info.shown
        raise Misconfigured(problem("SIGN-IN-NONE", profile=str(key), transport=shown, operator=key.operator))
    wanted = make(profile)
    if wanted.kind in NO_PERSON:
        return None
    kind = run.plugins.clients.get(wanted.client)
    return (kind.loopback if kind else "") or "http://127.0.0.1:{port}/"


async def _by_browser(
    run: Run, key: "ProfileKey", template: str, port: int | None, whom: dict[str, Any]
) -> "SignedIn":
    import webbrowser

    from recapito.errors import RecapitoError
    from recapito.oauth.loopback import Loopback

    mailer = run.mailer()
    async with Loopback(template, port, language=language()) as loopback:
        begun = await asyncio.to_thread(
            mailer.begin_sign_in, key.operator, redirect_uri=loopback.redirect_uri, **whom
        )
        _link(run, begun)
        if not await asyncio.to_thread(webbrowser.open, begun.url):
            run.output.note(_("No browser could be opened: open the link yourself."))
        try:
            async with asyncio.timeout(_left(begun)):
                query = await loopback.answer()
        except TimeoutError:
            raise _too_late(key) from None
        try:
            done = await asyncio.to_thread(_finished, run, key, query)
        except RecapitoError as exc:
            loopback.judge(str(exc.problem.explain(language())))
            raise
        loopback.judge()
        return done


def _link(run: Run, begun: "Begun") -> None:
    run.output.note(
        _("Sign in as {account} in the browser that opens, within 10 minutes. The link:").format(
            account=begun.account
        )
    )
    run.output.note(begun.url)


def _pasted_uri(template: str, port: int | None) -> str:
    """Where nobody listens: the browser shows an error, and its address line has the answer."""
    return template.format(port=port or 8400)


def _pasted(run: Run, begun: "Begun") -> dict[str, str]:
    run.output.note(_("Open this link in a browser and sign in as {account}:").format(account=begun.account))
    run.output.note(begun.url)
    run.output.note(
        _("The browser then goes to {uri}…, which need not open. Paste its whole address here.").format(
            uri=begun.redirect_uri
        )
    )
    ask = partial(click.prompt, _("Address"), err=True, hide_input=True)
    typed = str(ask()) if run.may_ask else run.read_secret().reveal()
    query = dict(parse_qsl(urlsplit(typed.strip()).query, keep_blank_values=True))
    if not query:
        raise click.UsageError(_("That is no address with an answer in it: copy all of it."))
    return query


def _by_device(run: Run, key: "ProfileKey", begun: "Begun") -> "SignedIn":
    run.output.note(
        _("Open {url} on any device, type the code {code}, and sign in as {account}.").format(
            url=begun.url, code=begun.user_code, account=begun.account
        )
    )
    while True:
        if _left(begun) <= 0:
            raise _too_late(key)
        time.sleep(begun.interval)
        found = run.mailer().finish_sign_in(
            key.operator, {"state": begun.state}, company=key.company, by=run.by
        )
        if not _waits(found):
            return found  # type: ignore[return-value]
        begun = found  # type: ignore[assignment]
        run.output.detail(_("Nobody has typed the code yet."))


def _waits(found: "SignedIn | Begun") -> bool:
    from recapito.signing import Begun

    return isinstance(found, Begun)


def _finished(run: Run, key: "ProfileKey", query: dict[str, str]) -> "SignedIn":
    from recapito.signing import SignedIn

    found = run.mailer().finish_sign_in(key.operator, query, company=key.company, by=run.by)
    assert isinstance(found, SignedIn), "only a device waits"
    return found


def _left(begun: "Begun") -> float:
    from datetime import UTC, datetime

    return (begun.expires_at - datetime.now(UTC)).total_seconds()


def _too_late(key: "ProfileKey") -> Exception:
    from recapito.catalogue import problem
    from recapito.errors import Held

    return Held(problem("SIGN-IN-STATE", operator=key.operator))
