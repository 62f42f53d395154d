"""Where Microsoft is: its clouds' addresses, or a client's own, and how permissions are spelled there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode, urlsplit

from recapito.catalogue import builtin

if TYPE_CHECKING:
    from recapito_ms365_oauth.settings import Resource

__all__ = ["GRAPH_HOST", "SMTP_HOST", "Microsoft", "granted"]

GRAPH_HOST = "graph.microsoft.com"
SMTP_HOST = "smtp.office365.com"


@dataclass(frozen=True, slots=True)
class _Cloud:
    """``outlook`` is the audience of Exchange Online's delegated permissions, ``exchange`` of its app permissions."""

    login: str
    graph: str
    smtp: str
    outlook: str
    exchange: str


# learn.microsoft.com: "Microsoft Graph national cloud deployments", "Microsoft Entra authentication and national
# clouds", "Authenticate an IMAP, POP or SMTP connection using OAuth", and for China the SMTP submission page.
# From memory, to be confirmed by one real account each: the SMTP servers and Outlook audiences of the US clouds.
_CLOUDS = {
    "global": _Cloud(
        "login.microsoftonline.com", GRAPH_HOST, SMTP_HOST, "outlook.office.com", "outlook.office365.com"
    ),
    "us-gov": _Cloud(
        "login.microsoftonline.us",
        "graph.microsoft.us",
        "smtp.office365.us",
        "outlook.office365.us",
        "outlook.office365.us",
    ),
    "us-dod": _Cloud(
        "login.microsoftonline.us",
        "dod-graph.microsoft.us",
        "outlook-dod.office365.us",
        "outlook-dod.office365.us",
        "outlook-dod.office365.us",
    ),
    "china": _Cloud(
        "login.partner.microsoftonline.cn",
        "microsoftgraph.chinacloudapi.cn",
        "smtp.partner.outlook.cn",
        "partner.outlook.cn",
        "partner.outlook.cn",
    ),
}
#: Tenants that are none: whoever signs in decides.
_ANY = frozenset({"common", "organizations", "consumers"})


@dataclass(frozen=True, slots=True)
class Microsoft:
    """One registration's Microsoft. ``authority`` ends with the tenant, ``graph_root`` before the version."""

    cloud: str = "global"
    tenant: str = "common"
    client_id: str = ""
    authority: str = "https://login.microsoftonline.com/common"
    graph_root: str = f"https://{GRAPH_HOST}"
    smtp_host: str = ""
    smtp_port: int = 587
    ca: str | None = None
    proxy: str | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """As the settings of a client say; what they leave out is Microsoft's own."""
        cloud = str(settings.get("cloud") or "global")
        known = _CLOUDS.get(cloud, _CLOUDS["global"])
        tenant = str(settings.get("tenant") or "common")
        login = (
            str(settings.get("authority") or f"https://{known.login}").rstrip("/").removesuffix(f"/{tenant}")
        )
        return cls(
            cloud=cloud if cloud in _CLOUDS else "global",
            tenant=tenant,
            client_id=str(settings.get("client_id") or ""),
            authority=f"{login}/{tenant}",
            graph_root=str(settings.get("graph_root") or f"https://{known.graph}")
            .rstrip("/")
            .removesuffix("/v1.0"),
            smtp_host=str(settings.get("smtp_host") or ""),
            smtp_port=int(settings.get("smtp_port") or 587),
            ca=settings.get("ca") or None,
            proxy=settings.get("proxy") or None,
        )

    @property
    def any_tenant(self) -> bool:
        """Whether accounts of several tenants may sign in."""
        return self.tenant.lower() in _ANY

    @property
    def login_host(self) -> str:
        """The host that gives tokens."""
        return urlsplit(self.authority).hostname or ""

    @property
    def graph_host(self) -> str:
        """The host of Microsoft Graph."""
        return urlsplit(self.graph_root).hostname or GRAPH_HOST

    @property
    def discovery_uri(self) -> str:
        """Where the tenant's metadata are."""
        return f"{self.authority}/v2.0/.well-known/openid-configuration"

    def endpoint(self, name: str) -> str:
        """The tenant's ``authorize``, ``token`` or ``devicecode`` endpoint."""
        return f"{self.authority}/oauth2/v2.0/{name}"

    @property
    def consent_uri(self) -> str:
        """Where an administrator approves what the registration asks for (learn: admin consent endpoint)."""
        # "organizations" works where the tenant is not known: the administrator's own is then meant.
        tenant = "organizations" if self.any_tenant else self.tenant
        login = self.authority.removesuffix(f"/{self.tenant}")
        return f"{login}/{quote(tenant)}/adminconsent?{urlencode({'client_id': self.client_id})}"

    def server_for(self, sender: str) -> str:
        """The SMTP server for that address: personal accounts have one of their own."""
        if self.smtp_host:
            return self.smtp_host
        provider = builtin().for_domain(sender.rpartition("@")[2]) if self.cloud == "global" else None
        for way in provider.ways if provider else ():
            if way.transport == "ms365_oauth" and way.endpoints:
                return way.endpoints[0].host
        return _CLOUDS[self.cloud].smtp

    def scopes(self, resource: "Resource", permissions: Iterable[str]) -> list[str]:
        """``permissions`` as the token endpoint wants them: with the audience that they are of."""
        root = self.graph_root if resource == "graph" else f"https://{_CLOUDS[self.cloud].outlook}"
        return [f"{root}/{name}" for name in sorted(permissions)]

    def default_scope(self, resource: "Resource") -> str:
        """What an app asks for: all that an administrator has granted to it for this resource."""
        root = self.graph_root if resource == "graph" else f"https://{_CLOUDS[self.cloud].exchange}"
        return f"{root}/.default"


def granted(said: str, asked: Iterable[str]) -> frozenset[str]:
    """Those of the ``asked`` permissions that an answer's ``scope`` names, however it spells them.

    Entra gives them with the audience or without it, that of Outlook under another name than was asked for, and
    personal accounts in other letters.
    """
    given = {scope.rpartition("/")[2].casefold() for scope in said.split()}
    return frozenset(name for name in asked if name.casefold() in given)
