"""One message from the command line with the bare libraries: what ``recapito send`` is measured against.

    python benchmarks/bare_send.py --prepare FOLDER HOST PORT CA   makes the database, the key and the secret
    python benchmarks/bare_send.py FOLDER anna --to cliente@example.com --subject S --text T

It does the same job with the same libraries, as one would write it by hand: read the installed entry points, select the
profile from SQLite, decrypt its password (AES-256-GCM), validate its settings (pydantic), make a verifying TLS context,
build the message, and send it by aiosmtplib. It keeps no journal, explains nothing, and has no plugins.
"""

import asyncio
import os
import ssl
import sys
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from importlib.metadata import entry_points
from pathlib import Path

import aiosmtplib
import click
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel, Field, SecretStr
from sqlalchemy import Column, LargeBinary, MetaData, Table, Text, create_engine, insert, select

__all__ = ["prepare", "send"]

profiles = Table(
    "profile",
    MetaData(),
    Column("operator", Text, primary_key=True),
    Column("sender", Text),
    Column("settings", Text),
    Column("secret", LargeBinary),
)


class Settings(BaseModel):
    """One SMTP server and a user of it."""

    host: str = Field(max_length=255)
    port: int = Field(ge=1, le=65535)
    username: str
    ca: str | None = None
    password: SecretStr = SecretStr("")


def prepare(folder: Path, host: str, port: int, ca: str) -> None:
    """A database with one profile."""
    key, nonce = AESGCM.generate_key(256), os.urandom(12)
    (folder / "key").write_bytes(key)
    settings = Settings(host=host, port=port, username="anna", ca=ca).model_dump_json(exclude={"password"})
    engine = create_engine(f"sqlite:///{folder}/bare.db")
    profiles.metadata.create_all(engine)
    secret = nonce + AESGCM(key).encrypt(nonce, b"segreto", b"anna/password")
    with engine.begin() as connection:
        row = {"operator": "anna", "sender": "anna@example.it", "settings": settings, "secret": secret}
        connection.execute(insert(profiles).values(row))


async def send(settings: Settings, message: EmailMessage) -> str:
    """Send it; the server's last words."""
    context = ssl.create_default_context(cadata=settings.ca)
    async with aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        use_tls=True,
        tls_context=context,
        username=settings.username,
        password=settings.password.get_secret_value(),
        local_hostname="localhost",
    ) as client:
        return (await client.send_message(message))[1]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("operator")
@click.option("--to", required=True)
@click.option("--subject", default="")
@click.option("--text", default="")
def main(folder: Path, operator: str, to: str, subject: str, text: str) -> None:
    """Send one message."""
    plugins = [each.load() for each in entry_points(group="recapito") if each.name == "smtp_basic"]
    assert plugins is not None
    with create_engine(f"sqlite:///{folder}/bare.db").connect() as connection:
        row = connection.execute(select(profiles).where(profiles.c.operator == operator)).one()
    key = (folder / "key").read_bytes()
    opened = AESGCM(key).decrypt(row.secret[:12], row.secret[12:], b"anna/password").decode()
    settings = Settings.model_validate_json(row.settings).model_copy(update={"password": SecretStr(opened)})
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = row.sender, to, subject
    message["Date"], message["Message-ID"] = (
        format_datetime(datetime.now(UTC)),
        make_msgid(domain="example.it"),
    )
    message.set_content(text)
    click.echo(asyncio.run(send(settings, message)))


if __name__ == "__main__":
    if sys.argv[1] == "--prepare":
        prepare(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]).read_text())
    else:
        main()
