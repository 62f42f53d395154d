"""``recapito profile``: the noun; each verb is in its own module."""

from recapito.cli.command import LazyGroup
from recapito.cli.words import N_

__all__ = ["profile"]

profile = LazyGroup(
    "profile",
    help=N_("Profiles: one mailbox of one operator, and how it sends."),
    lazy={
        "list": ("recapito.cli.profile_view:list_", N_("All profiles and their state.")),
        "show": ("recapito.cli.profile_view:show", N_("One profile: settings, state, last sends.")),
        "set": ("recapito.cli.profile_set:set_", N_("Make a profile or change it.")),
        "switch": ("recapito.cli.profile_switch:switch", N_("Move a profile to another way as one act.")),
        "remove": ("recapito.cli.profile_state:remove", N_("Remove a profile and its secrets.")),
        "pause": ("recapito.cli.profile_state:pause", N_("Stop a profile from sending.")),
        "resume": ("recapito.cli.profile_state:resume", N_("Let a paused profile send again.")),
        "import": ("recapito.cli.profile_import:import_", N_("Make or change many from a CSV file.")),
        "export": ("recapito.cli.profile_export:export", N_("Write all profiles as CSV, without secrets.")),
    },
)
