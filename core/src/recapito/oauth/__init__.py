"""The OAuth and HTTP toolkit: sign-ins by OAuth 2, access tokens, and requests that carry them.

A plugin for a provider that keeps to the standards gives :class:`CodeSignIn`, :class:`DeviceSignIn` or
:class:`AppSignIn` its endpoints and scopes. One with ways of its own builds on the parts: :class:`Http` and
:class:`BlockingHttp` for requests, :func:`explained` for what token endpoints answer, :func:`checked_token`,
:func:`challenge` and the rest. A transport that sends over an API holds an :class:`ApiLine`. Names load when they
are first used; nothing that speaks HTTP is loaded before something does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recapito.oauth.answer import Answer
    from recapito.oauth.api import ApiLine
    from recapito.oauth.app import AppSignIn
    from recapito.oauth.blocking import BlockingHttp
    from recapito.oauth.body import Streamed
    from recapito.oauth.check import api_steps
    from recapito.oauth.code import CodeSignIn
    from recapito.oauth.device import DeviceSignIn
    from recapito.oauth.endpoints import Endpoints
    from recapito.oauth.explain import explained
    from recapito.oauth.failure import HttpFailure
    from recapito.oauth.http import Http
    from recapito.oauth.id_token import id_token_claims
    from recapito.oauth.pkce import challenge, new_state, new_verifier
    from recapito.oauth.redirect import refuse_error, refuse_other_issuer
    from recapito.oauth.settings import OAuthClientSettings
    from recapito.oauth.token import checked_token
else:
    # Behind "not TYPE_CHECKING", so that a type checker still reports a name that does not exist.
    _HOMES = {
        "Answer": "answer",
        "ApiLine": "api",
        "AppSignIn": "app",
        "BlockingHttp": "blocking",
        "CodeSignIn": "code",
        "DeviceSignIn": "device",
        "Endpoints": "endpoints",
        "Http": "http",
        "HttpFailure": "failure",
        "OAuthClientSettings": "settings",
        "Streamed": "body",
        "api_steps": "check",
        "challenge": "pkce",
        "checked_token": "token",
        "explained": "explain",
        "id_token_claims": "id_token",
        "new_state": "pkce",
        "new_verifier": "pkce",
        "refuse_error": "redirect",
        "refuse_other_issuer": "redirect",
    }

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'recapito.oauth' has no attribute {name!r}")
        value = getattr(import_module(f"recapito.oauth.{home}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted([*globals(), *_HOMES])


__all__ = [
    "Answer",
    "ApiLine",
    "AppSignIn",
    "BlockingHttp",
    "CodeSignIn",
    "DeviceSignIn",
    "Endpoints",
    "Http",
    "HttpFailure",
    "OAuthClientSettings",
    "Streamed",
    "api_steps",
    "challenge",
    "checked_token",
    "explained",
    "id_token_claims",
    "new_state",
    "new_verifier",
    "refuse_error",
    "refuse_other_issuer",
]
