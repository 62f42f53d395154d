"""How a person signs in from a terminal: the system's browser, a link to paste, or a code on another device."""

import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import click

from recapito.cli.browser import Listening, opened_in_browser
from recapito.cli.progress import progress
from recapito.cli.run import Run
from recapito.cli.words import _, language

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recapito.operators import Changes
    from recapito.profile import ProfileKey
    from recapito.signing import Begun, SignedIn

__all__ = ["By", "sign_in", "signed_data", "signed_lines"]

#: The port of an address that is only pasted: nobody listens there.
_PASTED = 8400
#: How often in a row a vendor may be out of reach while a code is typed (RFC 8628 §3.5: then ask less often).
_LOST = 5


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
        begun = mailer.begin_sign_in(
            key.operator, redirect_uri=template.format(port=by.port or _PASTED), **whom
        )
        return _finished(run, key, _pasted(run, begun))
    return _by_browser(run, key, template, by.port, whom)


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


def _by_browser(
    run: Run, key: "ProfileKey", template: str, port: int | None, whom: dict[str, Any]
) -> "SignedIn":
    from recapito.errors import RecapitoError

    with Listening(template, port, language()) as listening:
        begun = run.mailer().begin_sign_in(key.operator, redirect_uri=listening.redirect_uri, **whom)
        answer = listening.answer(begun.state)
        run.output.complain(
            _(
                "Sign in as {account} in the browser that opens. The link, for the next {minutes} minutes:"
            ).format(account=begun.account, minutes=_minutes(begun))
        )
        run.output.complain(begun.url)
        query = _answered(run, begun, answer)
        try:
            done = _finished(run, key, query)
        except RecapitoError as exc:
            listening.judge(str(exc.problem.explain(language())))
            raise
        listening.judge()
        return done


def _answered(run: Run, begun: "Begun", answer: "Future[dict[str, str]]") -> dict[str, str]:
    """What the browser brings, in the time that there is."""
    opened = opened_in_browser(begun.url)
    either: tuple[Future[Any], ...] = answer, opened
    wait(either, _left(begun), FIRST_COMPLETED)
    if opened.done() and not opened.result():
        run.output.complain(_("No browser could be opened: open the link yourself, in one on this machine."))
    try:
        return answer.result(max(0.0, _left(begun)))
    except TimeoutError:
        raise _too_late() from None


#: What programs put around an address that is copied from them.
_AROUND = " \t\r\n<>\"'«»“”"


def _pasted(run: Run, begun: "Begun") -> dict[str, str]:
    say = run.output.complain
    say(_("Open this link in a browser and sign in as {account}:").format(account=begun.account))
    say(begun.url)
    say(
        _("The browser then goes to {uri}…, which need not open. Paste its whole address here.").format(
            uri=begun.redirect_uri
        )
    )
    while True:
        query: dict[str, str] = {}
        with suppress(ValueError):  # no address at all, and its text is nobody's business
            query = dict(parse_qsl(urlsplit(_address(run).strip(_AROUND)).query, keep_blank_values=True))
        if "state" in query:
            return query
        told = _("That is no address with an answer in it: copy all of it.")
        if not run.may_ask:
            raise click.UsageError(told)
        say(told)


def _address(run: Run) -> str:
    """What was pasted; it holds a code, which no traceback shows."""
    from recapito.secret import Secret

    if not run.may_ask:
        return run.read_secret().reveal().strip()
    with suppress(ImportError):
        import readline  # noqa: F401 - without it a terminal cuts lines, at 1,024 characters on macOS
    typed = str(click.prompt(_("Address"), err=True)).strip()
    run.output.keep_out(Secret(typed))
    return typed


def _by_device(run: Run, key: "ProfileKey", begun: "Begun") -> "SignedIn":
    from recapito.errors import NotSent
    from recapito.signing import SignedIn

    run.output.complain(
        _("Open {url} on any device, type the code {code}, and sign in as {account}.").format(
            url=begun.url, code=begun.user_code, account=begun.account
        )
    )
    whole, pause, lost = max(1, int(_left(begun))), begun.interval, 0
    with progress(run.output, _("Waiting for the code to be typed (seconds)")) as step:
        while _left(begun) > 0:
            time.sleep(pause)
            step(max(0, whole - int(_left(begun))), whole)
            try:
                found = _looked_at(run, key, begun.state)
            except NotSent as exc:
                lost, pause = lost + 1, pause * 2
                if lost == _LOST:
                    raise
                run.output.detail(str(exc))
                continue
            if isinstance(found, SignedIn):
                return found
            begun, pause, lost = found, found.interval, 0
    raise _too_late()


def _finished(run: Run, key: "ProfileKey", query: dict[str, str]) -> "SignedIn":
    from recapito.signing import SignedIn

    found = run.mailer().finish_sign_in(key.operator, query, company=key.company, by=run.by)
    assert isinstance(found, SignedIn), "only a device waits"
    return found


def _looked_at(run: Run, key: "ProfileKey", state: str) -> "SignedIn | Begun":
    return run.mailer().finish_sign_in(key.operator, {"state": state}, company=key.company, by=run.by)


def _left(begun: "Begun") -> float:
    from datetime import UTC, datetime

    return (begun.expires_at - datetime.now(UTC)).total_seconds()


def _minutes(begun: "Begun") -> int:
    return max(1, round(_left(begun) / 60))


def _too_late() -> Exception:
    from recapito.catalogue import problem
    from recapito.errors import Held

    return Held(problem("SIGN-IN-EXPIRED"))
