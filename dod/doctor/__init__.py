"""``dod doctor``: asks both neighbours what an operator would ask, and says what to do."""
