"""``dod demo``: the unchanged ``dod run`` between the simulators, and a chat page."""
