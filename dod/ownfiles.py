"""The files that dod writes itself: whole or not at all, and owned so that people can live with it.

Those beside ``bots.yaml`` lie on a network share: they take the folder's owner, or the person at
the share could neither change nor delete them (design §2.1).
"""

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path

log = logging.getLogger(__name__)

# A file mounted by itself, or a folder that takes no new files: then the file is written in place.
_NO_RENAME = {errno.EBUSY, errno.EACCES, errno.EPERM, errno.EXDEV}


def write(path: Path, data: bytes, *, mode: int | None = None) -> bool:
    """Make ``path`` hold ``data``; False if it did already, and nothing is touched then.

    ``mode`` None: owner, group and mode are those of the folder (see ``own``). After a power cut
    the file is the old one or the new one. Raises OSError.
    """
    if _holds(path, data):
        return False
    draft = path.with_name(f".{path.name}.tmp")
    try:
        _write_draft(draft, data)
        if mode is None:
            own(draft, path.parent)
        else:
            draft.chmod(mode)
        draft.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        if exc.errno not in _NO_RENAME or not path.is_file():
            raise
        _write_in_place(path, data)
        return True
    with contextlib.suppress(OSError):  # not every file system can sync a folder
        _sync(path.parent)
    return True


def own(path: Path, folder: Path) -> None:
    """Give ``path`` the folder's owner and group, and its mode & 0666 (a folder: & 0777).

    Never raises: a share may refuse, and decides by itself then.
    """
    with contextlib.suppress(OSError):
        like = folder.stat()
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            with contextlib.suppress(OSError):  # a group of ours can be given without root
                os.fchown(handle, like.st_uid if os.geteuid() == 0 else -1, like.st_gid)
            is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
            os.fchmod(handle, like.st_mode & (0o777 if is_folder else 0o666))
        finally:
            os.close(handle)


class Trouble:
    """Warns of what keeps us from writing ``what``: once, until it changes or is over."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._reason = ""

    def met(self, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        if reason != self._reason:
            log.warning("%s cannot be written: %s", self._what, reason)
        self._reason = reason

    def over(self) -> None:
        if self._reason:
            log.info("%s can be written again", self._what)
        self._reason = ""


def _holds(path: Path, data: bytes) -> bool:
    try:
        if not path.is_file():  # also a pipe, which would block for ever
            return False
        with path.open("rb") as stream:
            return stream.read(len(data) + 1) == data
    except OSError:
        return False


def _write_draft(draft: Path, data: bytes) -> None:
    draft.unlink(missing_ok=True)  # of a power cut
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(handle)


def _write_in_place(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.truncate()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
