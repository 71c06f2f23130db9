"""Secrets are in the memory of the process: nothing of it goes to disk, or to others."""

import subprocess
import sys

TOLD = """
import ctypes, resource
from dod import process

def told():
    dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)  # PR_GET_DUMPABLE
    print(dumpable, resource.getrlimit(resource.RLIMIT_CORE)[0])

told()
process.set_limits()
told()
print(len(set(resource.getrlimit(resource.RLIMIT_NOFILE))))
"""


def test_no_core_is_dumped_to_a_file_or_a_program_and_sockets_are_many() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TOLD], capture_output=True, text=True, timeout=60, check=True
    )
    before, after, limits = done.stdout.splitlines()
    assert before.split()[0] == "1"  # the sight is clear
    assert after == "0 0"
    assert limits == "1"  # what is allowed is taken
