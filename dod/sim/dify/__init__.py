"""A Dify on one local port: every kind of app, as 0.15 and 1.13 speak."""
