"""Dify on DingTalk: a bot takes a message, asks a Dify app, and types the answer onto a card."""

__version__ = "0.1.0"
