"""``dod run`` that takes a file for finished after 50 ms: 300 saves would last four minutes else.

The confirmation of a removal stays as it is. Run as a script; what follows on its line is ignored.
"""

import sys

from dod.cli import main
from dod.watch import Watch

if __name__ == "__main__":
    defaults = Watch.__init__.__kwdefaults__ or {}
    defaults.update(settle=0.05, quick=0.03)
    sys.exit(main(["run"]))
