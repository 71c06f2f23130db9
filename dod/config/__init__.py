"""Configuration, pure: files → ``Loaded`` (a ``Config`` of accepted bots, and problems)."""

from dod.config.environment import Environment
from dod.config.load import Loaded, load, load_file, load_text
from dod.config.problems import Problem

__all__ = ["Environment", "Loaded", "Problem", "load", "load_file", "load_text"]
