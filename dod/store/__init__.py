"""What dod remembers: a disk cache behind the ``Store`` port, and the lock on the data folder."""
