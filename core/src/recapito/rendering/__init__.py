"""From what a caller hands over to what leaves."""

from recapito.rendering.render import is_cheap, render
from recapito.rendering.rendered import Rendered

__all__ = ["Rendered", "is_cheap", "render"]
