"""``recapito audit``: who changed what."""

import click

from recapito.cli.command import command, option
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import company_option
from recapito.cli.words import N_, _

__all__ = ["audit"]


@command(N_("Who changed what, the newest last. Values of secrets are never recorded."))
@click.argument("operator", required=False)
@company_option
@option("--limit", type=click.IntRange(min=1), default=50, text=N_("How many at most."))
@pass_run
def audit(run: Run, operator: str | None, company: str | None, limit: int) -> None:
    """Print the newest audit rows, oldest of them first."""
    found = run.store().audit(
        company=run.company(company) or None if company is None else company, operator=operator, limit=limit
    )
    rows = [
        {
            "at": row.at.isoformat(timespec="seconds"),
            "by": row.by,
            "action": row.action,
            "company": row.key.company if row.key else None,
            "operator": row.key.operator if row.key else None,
            "profile": row.key.name if row.key else None,
            "fields": list(row.fields),
            "detail": row.detail,
        }
        for row in sorted(found, key=lambda row: row.at)
    ]
    columns = [
        ("at", _("when")),
        ("by", _("who")),
        ("action", _("action")),
        ("company", _("company")),
        ("operator", _("operator")),
        ("profile", _("profile")),
        ("fields", _("fields")),
    ]
    if not any(row["company"] for row in rows):
        columns = [column for column in columns if column[0] != "company"]
    run.output.rows(rows, columns)
