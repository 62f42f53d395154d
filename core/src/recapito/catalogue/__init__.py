"""What is known about mail hosts: providers, the meaning of their replies, and the codes of problems."""

from recapito.catalogue.catalogue import Catalogue, builtin
from recapito.catalogue.code import Code, find_code, known_codes, problem
from recapito.catalogue.hints import hint, source_text
from recapito.catalogue.moment import Retry
from recapito.catalogue.pasted import pasted_reply
from recapito.catalogue.provider import MB, Endpoint, Pec, Provider, Way
from recapito.catalogue.rule import ReplyRule

__all__ = [
    "MB",
    "Catalogue",
    "Code",
    "Endpoint",
    "Pec",
    "Provider",
    "ReplyRule",
    "Retry",
    "Way",
    "builtin",
    "find_code",
    "hint",
    "known_codes",
    "pasted_reply",
    "problem",
    "source_text",
]
