"""Companies, profiles, secrets, states and the audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables, with the one row that names the store."""
    _store()
    op.create_table(
        "recapito_company",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("created", sa.Double, nullable=False),
    )
    _profile()
    op.create_table(
        "recapito_secret",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "recapito_state",
        sa.Column("company", sa.Text, primary_key=True),
        sa.Column("operator", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("paused_by", sa.Text, nullable=False),
    )
    _audit()


def _store() -> None:
    from datetime import UTC, datetime
    from uuid import uuid4

    made = op.create_table(
        "recapito_store",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("writing_key", sa.Text),
    )
    op.create_table(
        "recapito_key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("checked", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
    )
    now = datetime.now(UTC).timestamp()
    op.bulk_insert(made, [{"one": 1, "id": uuid4().hex, "created": now, "version": 1}])


def _profile() -> None:
    op.create_table(
        "recapito_profile",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("company", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("sender_name", sa.Text, nullable=False),
        sa.Column("aliases", sa.Text, nullable=False),
        sa.Column("reply_to", sa.Text),
        sa.Column("transport", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("trusted_host", sa.Boolean, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.UniqueConstraint("company", "operator", "name", name="recapito_profile_key"),
    )


def _audit() -> None:
    op.create_table(
        "recapito_audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("done_by", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("company", sa.Text),
        sa.Column("operator", sa.Text),
        sa.Column("name", sa.Text),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("recapito_audit_operator", "recapito_audit", ["company", "operator"])
