"""Column types that read the same on SQLite and PostgreSQL."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Dialect, Double, Text
from sqlalchemy.types import TypeDecorator

__all__ = ["Json", "Moment"]


class Moment(TypeDecorator[datetime]):
    """A point in time, kept as seconds since 1970 (UTC): SQLite has no type that keeps a time zone."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> float | None:  # noqa: ARG002
        """As it is stored."""
        return None if value is None else value.timestamp()

    def process_result_value(self, value: float | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """As it is read: aware, in UTC."""
        return None if value is None else datetime.fromtimestamp(value, UTC)


class Json(TypeDecorator[Any]):
    """JSON as text: small values that are read whole and never searched."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """As it is stored."""
        return None if value is None else json.dumps(value, ensure_ascii=True, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """As it is read."""
        return None if value is None else json.loads(value)
