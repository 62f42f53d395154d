"""Who is asked for: what a host's own hook hears."""

from typing import TYPE_CHECKING

from recapito.hookspecs import hookimpl

if TYPE_CHECKING:
    from recapito.hookspecs import Subject
    from recapito.problem import Problem

__all__ = ["Notices"]


class Notices:
    """A host's hook: keeps every request for a person's attention in ``heard``, where an ERP would tell them."""

    def __init__(self) -> None:
        self.heard: list[tuple[Subject, Problem]] = []

    @hookimpl
    def recapito_request_attention(self, subject: "Subject", problem: "Problem") -> None:
        """Called once for each new problem that a person must solve."""
        self.heard.append((subject, problem))
