"""Alembic's door: runs the revisions on the connection and in the transaction that ``migration.py`` opened."""

from alembic import context

from recapito.store import schema

_connection = context.config.attributes["connection"]
_schema = context.config.attributes.get("schema")

if _schema is not None:
    # The statements of a migration name no schema: the connection says where they go.
    _connection.exec_driver_sql(f'set local search_path to "{_schema}"')

context.configure(
    connection=_connection,
    target_metadata=schema.metadata,
    version_table="recapito_alembic_version",
    version_table_schema=_schema,
    render_as_batch=_connection.dialect.name == "sqlite",
    transaction_per_migration=False,
    transactional_ddl=True,
)
context.run_migrations()
