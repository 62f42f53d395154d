"""What was granted against what was wanted: another person's account is never kept, nor half a permission."""

from typing import TYPE_CHECKING

from recapito.accounts import same_account
from recapito.catalogue import problem
from recapito.errors import Held

if TYPE_CHECKING:
    from recapito.signin import Grant
    from recapito.signing.aim import Aim

__all__ = ["refuse_what_was_not_wanted"]


def refuse_what_was_not_wanted(grant: "Grant", aim: "Aim") -> None:
    """Raise Held: OAUTH-OTHER-USER where another account consented, OAUTH-SCOPE where something was unticked.

    It is not given back at the vendor: it may be a colleague's own, in use elsewhere.
    """
    if grant.account and not same_account(grant.account, aim.account):
        raise Held(problem("OAUTH-OTHER-USER", a=grant.account, b=aim.account))
    if missing := aim.sign_in.scopes - grant.scopes:
        raise Held(
            problem("OAUTH-SCOPE", scopes=" ".join(sorted(missing)), operator=aim.found.profile.key.operator)
        )
