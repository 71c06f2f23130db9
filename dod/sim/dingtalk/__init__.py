"""A DingTalk on one local port: strict where facts are known, switchable where nobody knows."""
