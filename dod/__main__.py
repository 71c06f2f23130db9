"""``python -m dod``."""

import sys

from dod.cli import main

if __name__ == "__main__":
    sys.exit(main())
