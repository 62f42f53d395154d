"""The settings of :class:`MemoryTransport`; apart, so that pydantic loads only when they are asked for."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr

__all__ = ["MemorySettings"]


class MemorySettings(BaseModel):
    """Who signs in, and with what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: str = Field(default="", title="Account", description="Who signs in (default: the sender)")
    password: SecretStr | None = Field(default=None, title="Password")
