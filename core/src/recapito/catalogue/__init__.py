"""What is known about mail hosts: providers, the meaning of their replies, and the codes of problems."""

from recapito.catalogue.code import Code, find_code, known_codes, problem

__all__ = ["Code", "find_code", "known_codes", "problem"]
