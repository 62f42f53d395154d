"""The journal of direct sends, lowered limits, and who was told what."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables that sending writes to."""
    op.create_table(
        "recapito_attention",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("told", sa.Double, nullable=False),
    )
    op.create_table(
        "recapito_lowered",
        sa.Column("mailbox", sa.Text, primary_key=True),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
    )
    op.create_table(
        "recapito_journal",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("company", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("transport", sa.Text, nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("recipients", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("deadline", sa.Double),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("ended", sa.Double),
        sa.Column("outcome", sa.Text),
        sa.Column("result", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_index("recapito_journal_operator", "recapito_journal", ["company", "operator", "name", "id"])
    op.create_index("recapito_journal_reference", "recapito_journal", ["reference"])
