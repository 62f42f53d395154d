"""The acts of signing in: begun, finished in any process, taken back."""

from recapito.signing.beginning import begin
from recapito.signing.begun import CHECKED_EVERY, Begun, SignedIn
from recapito.signing.desk import Desk
from recapito.signing.ending import sign_out
from recapito.signing.finishing import finish
from recapito.signing.wish import Answer, Wish

__all__ = ["CHECKED_EVERY", "Answer", "Begun", "Desk", "SignedIn", "Wish", "begin", "finish", "sign_out"]
