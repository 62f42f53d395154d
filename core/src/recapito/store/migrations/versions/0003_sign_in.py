"""What signing in leaves: clients, grants and the attempts that are under way."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables that signing in writes to."""
    op.create_table(
        "recapito_client",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("company", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.UniqueConstraint("company", "name", name="recapito_client_key"),
    )
    op.create_table(
        "recapito_grant",
        sa.Column("company", sa.Text, primary_key=True),
        sa.Column("operator", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("transport", sa.Text, nullable=False),
        sa.Column("sign_in", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("idle_until", sa.Double),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("granted", sa.Double, nullable=False),
        sa.Column("refreshed", sa.Double),
        sa.Column("problem", sa.Text),
        sa.Column("client_revision", sa.Text, nullable=False),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_until", sa.Double),
    )
    op.create_table(
        "recapito_attempt",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("state_hash", sa.Text, nullable=False, unique=True),
        sa.Column("company", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("transport", sa.Text, nullable=False),
        sa.Column("sign_in", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("session_hash", sa.Text, nullable=False),
        sa.Column("begun_by", sa.Text, nullable=False),
        sa.Column("draft", sa.Text),
        sa.Column("interval", sa.Double, nullable=False),
        sa.Column("begun", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
    )
    op.create_index("recapito_attempt_profile", "recapito_attempt", ["company", "operator", "name"])
    op.create_index("recapito_attempt_expires", "recapito_attempt", ["expires"])
