"""From what a caller hands over to what leaves."""

from recapito.rendering.again import can_render_again, same_again
from recapito.rendering.render import is_cheap, render
from recapito.rendering.rendered import Rendered

__all__ = ["Rendered", "can_render_again", "is_cheap", "render", "same_again"]
