"""What a company's registration at Microsoft needs; a profile has nothing to set yet."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from recapito.texts import N_

__all__ = ["MicrosoftClientSettings", "Ms365Settings"]


class Ms365Settings(BaseModel):
    """Nothing: this version cannot sign in with Microsoft."""

    model_config = ConfigDict(extra="forbid")


class MicrosoftClientSettings(BaseModel):
    """A company's own app registration at Microsoft."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    tenant: str = Field(
        title=N_("Tenant"),
        description=N_("The directory's ID or domain, for example example.onmicrosoft.com."),
    )
    client_id: str = Field(title=N_("Application (client) ID"))
    client_secret: SecretStr | None = Field(
        None, title=N_("Client secret"), description=N_("The secret's value, not its ID.")
    )
