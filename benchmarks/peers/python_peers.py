"""aiosmtplib, smtplib and Django as one uses them, asked by lines of JSON on standard input."""

import asyncio
import json
import resource
import smtplib
import ssl
import sys
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid
from pathlib import Path
from typing import Any

Task = dict[str, Any]
_kept: dict[tuple[str, int, int], Any] = {}


def context(task: Task) -> ssl.SSLContext | None:
    return ssl.create_default_context(cadata=task["ca"]) if task["tls"] else None


def message(task: Task, number: int) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = formataddr((task["sender_name"], "anna@example.it"))
    mail["To"] = formataddr((task["recipient_name"], f"c{number}@example.com"))
    mail["Subject"] = task["subject"]
    mail["Date"], mail["Message-ID"] = formatdate(localtime=True), make_msgid(domain="example.it")
    mail.set_content(task["text"])
    if task["file"]:
        mail.add_attachment(
            Path(task["file"]).read_bytes(), maintype="application", subtype="pdf", filename="invoice.pdf"
        )
    return mail


def by_smtplib(task: Task) -> None:
    key = ("smtplib", task["port"], 1)
    if key not in _kept:
        kind = smtplib.SMTP_SSL if task["tls"] else smtplib.SMTP
        more = {"context": context(task)} if task["tls"] else {}
        _kept[key] = kind("127.0.0.1", task["port"], local_hostname="localhost", **more)
        _kept[key].login("anna", "segreto")
    for number in range(task["messages"]):
        _kept[key].send_message(message(task, number))


def by_aiosmtplib(task: Task) -> None:
    import aiosmtplib

    key = ("loop", 0, 0)
    loop = _kept.setdefault(key, None) or _kept.__setitem__(key, asyncio.new_event_loop()) or _kept[key]

    async def client(place: int) -> Any:
        kept = ("aiosmtplib", task["port"], place)
        if kept not in _kept:
            _kept[kept] = aiosmtplib.SMTP(
                hostname="127.0.0.1", port=task["port"], use_tls=task["tls"], start_tls=False,
                tls_context=context(task), local_hostname="localhost", username="anna", password="segreto",
            )  # fmt: skip
            await _kept[kept].connect()
        return _kept[kept]

    async def work() -> None:
        numbers = iter(range(task["messages"]))

        async def one(place: int) -> None:
            smtp = await client(place)
            for number in numbers:
                await smtp.send_message(message(task, number))

        await asyncio.gather(*(one(place) for place in range(task["connections"])))

    loop.run_until_complete(work())


def by_django(task: Task) -> None:
    from django.conf import settings
    from django.core.mail import EmailMessage as Mail
    from django.core.mail.backends.smtp import EmailBackend

    if not settings.configured:
        settings.configure(DEFAULT_CHARSET="utf-8", EMAIL_SSL_CERTFILE=None)
    key = ("django", task["port"], 1)
    if key not in _kept:
        _kept[key] = EmailBackend(
            host="localhost" if task["tls"] else "127.0.0.1", port=task["port"], username="anna",
            password="segreto", use_ssl=task["tls"], timeout=60,
        )  # fmt: skip
        if task["tls"]:
            _kept[key].__dict__["ssl_context"] = context(task)
        _kept[key].open()
    mails = []
    for number in range(task["messages"]):
        to = formataddr((task["recipient_name"], f"c{number}@example.com"))
        mail = Mail(task["subject"], task["text"], formataddr((task["sender_name"], "anna@example.it")), [to])
        if task["file"]:
            mail.attach("invoice.pdf", Path(task["file"]).read_bytes(), "application/pdf")
        mails.append(mail)
        if task["file"] or len(mails) == 100:
            _kept[key].send_messages(mails)
            mails = []
    if mails:
        _kept[key].send_messages(mails)


PEERS: dict[str, Callable[[Task], None]] = {
    "smtplib": by_smtplib, "aiosmtplib": by_aiosmtplib, "Django": by_django,
}  # fmt: skip


def main() -> None:
    send = PEERS[sys.argv[1]]
    for line in sys.stdin:
        asked = json.loads(line)
        task = asked["task"]
        if asked.get("warm"):
            send(task | {"messages": min(50, task["messages"])})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wall, cpu = time.perf_counter(), time.process_time()
        send(task)
        told = {
            "messages": task["messages"],
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
        }
        told["rss"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
