"""Configuration, pure: files → ``load.Loaded``: a ``Config`` of accepted bots, and problems."""
