"""Real disks of a few hundred kilobytes, to be filled, made read-only and broken."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal, Self

from tests.require import require


class Mount:
    """``with Mount(folder, "512k") as disk``: a file system of its own on ``folder``.

    Needs root on Linux; where that is not to be had the test is skipped (see ``require``).
    ``kind`` ext4 lies in an image file beside ``folder`` and can fail as a dying disk does.
    """

    def __init__(
        self, folder: Path, size: str, *, kind: Literal["tmpfs", "ext4"] = "tmpfs"
    ) -> None:
        self.folder = folder
        self._size = size
        self._kind = kind
        self._ballast = folder / "ballast"

    def __enter__(self) -> Self:
        if sys.platform != "linux" or os.geteuid() != 0:
            require("mount", "only root on Linux may mount")
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._kind == "tmpfs":
            self._mount("-t", "tmpfs", "-o", f"size={self._size}", "tmpfs")
        else:
            image = self.folder.with_name(f"{self.folder.name}.img")
            self._run("truncate", "-s", self._size, str(image))
            self._run("mkfs.ext4", "-q", "-m", "0", str(image))
            self._mount("-o", "loop", str(image))
        return self

    def __exit__(self, *_: object) -> None:
        if self._kind == "ext4":
            self.thaw()
        # Lazily: a test that failed may have left somebody in there.
        subprocess.run(["umount", "-l", str(self.folder)], check=False, capture_output=True)

    def fill(self) -> None:
        """Leave no room at all."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (65536, 4096, 1):
                try:
                    while ballast.write(b"\0" * size):
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def drain(self) -> None:
        self._ballast.unlink()

    def read_only(self, *, on: bool) -> None:
        """Remount. Nobody may be writing in there."""
        self._run("mount", "-o", f"remount,{'ro' if on else 'rw'}", str(self.folder))

    def break_down(self) -> None:
        """ext4 only: an I/O error makes the kernel turn it read-only under everybody's feet."""
        self._run("mount", "-o", "remount,abort", str(self.folder))

    def freeze(self) -> None:
        """ext4 only: every write stands still in the kernel until ``thaw``."""
        self._run("fsfreeze", "-f", str(self.folder))

    def thaw(self) -> None:
        """Idempotent."""
        subprocess.run(["fsfreeze", "-u", str(self.folder)], check=False, capture_output=True)

    def take_away(self) -> None:
        """Unplug it: the empty folder below shows; who has files open keeps them."""
        self._run("umount", "-l", str(self.folder))

    def _mount(self, *words: str) -> None:
        self._run("mount", *words, str(self.folder))

    @staticmethod
    def _run(*words: str) -> None:
        try:
            done = subprocess.run(words, check=False, capture_output=True, text=True)
        except FileNotFoundError:
            require("mount", f"there is no {words[0]}")
        if done.returncode:
            require("mount", f"{' '.join(words[:2])}: {done.stderr.strip()}")
