"""The files a configuration is made of: reads them, and remembers which were looked for.

The closure (``looked_for``) is what a watcher must watch: also a file that does not exist yet.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dod.config.decoding import LOST, MAX_BYTES, decode
from dod.config.problems import Report
from dod.config.source import Place, Remark, Source

# What is left of a file that an editor has truncated, or that a power cut has filled with NULs:
# white space and halves of a byte order mark.
_BLANK = b"\0\t\n\v\f\r \xef\xbb\xbf\xfe\xff"
ABSENT = "absent"


class Content(NamedTuple):
    """What a file held at one moment: a digest of all of it, ``ABSENT``, or why it is unreadable.

    ``blank``: there was nothing to read in it. Most likely it is just being saved.
    """

    digest: str
    blank: bool


class Files:
    """Reads below ``folder``. ``given``: contents that come from elsewhere (``dod check -``)."""

    def __init__(
        self, folder: Path, report: Report, given: dict[Path, bytes] | None = None
    ) -> None:
        self.folder = folder
        self._report = report
        self._given = given or {}
        self.broken: dict[str, Place] = {}  # where a file that is no text breaks off
        # Read once per load: a file that is included twice cannot change in between.
        self._read: dict[Path, bytes | OSError | None] = {}

    @property
    def looked_for(self) -> tuple[Path, ...]:
        """All files that were asked for on the disk, absent ones too."""
        return tuple(self._read)

    @property
    def fingerprint(self) -> str:
        """What ``fingerprint(looked_for)`` gave when they were read: over the very same bytes."""
        return combine({path: _content(read) for path, read in self._read.items()})

    def read(self, path: Path, *, file: str = "", secret: bool = False) -> Source | Remark | None:
        """The source; why it cannot be read; or None if there is no such file.

        ``file`` is the name for people; default: the path relative to the folder.
        """
        if not file:
            file = path.name if path.parent == self.folder else self._relative(path)
        self._report.order.append(file)
        data = self._bytes(path)
        if data is None:
            return None
        if isinstance(data, OSError):
            return unreadable(file, data)
        if len(data) > MAX_BYTES:
            return too_large(file)
        text, warnings, fault = decode(data)
        source = Source(file, text, secret)
        self._report.mask.harvest(source)
        lost = text.find("\ufffd")
        if fault:
            self.broken[file] = source.find(max(lost, 0))
            return fault
        if lost >= 0 and not source.find(lost).text.lstrip().startswith("#"):
            self._report.warn(source.find(lost), LOST)
        for index, warning in warnings:
            self._report.warn(source.find(index), warning)
        return source

    def exists(self, path: Path) -> bool:
        """Whether there is such a file; it belongs to what was looked for."""
        return self._bytes(path) is not None

    def _bytes(self, path: Path) -> bytes | OSError | None:
        if path in self._given:
            return self._given[path]
        if path not in self._read:
            self._read[path] = _attempt(path)
        return self._read[path]

    def _relative(self, path: Path) -> str:
        try:
            return path.relative_to(self.folder).as_posix()
        except ValueError:
            return path.name


def fingerprint(files: Sequence[Path]) -> str:
    """Names the state of ``files`` on the disk now; equals ``Loaded.fingerprint`` if none changed.

    Every byte counts, never size or mtime: backups and FAT keep both. Never raises OSError.
    """
    return combine(contents(files))


def contents(files: Iterable[Path]) -> dict[Path, Content]:
    """Read all ``files``, each at most a little beyond the limit of its size."""
    return {path: _content(_attempt(path)) for path in files}


def combine(found: Mapping[Path, Content]) -> str:
    """The fingerprint of ``found``; the order does not matter."""
    whole = hashlib.sha256()
    for path, content in sorted(found.items()):
        # A name out of an escape in YAML may hold half a surrogate pair.
        name = str(path).encode("utf-8", "surrogatepass")
        whole.update(b"%d %s %s\n" % (len(name), name, content.digest.encode()))
    return whole.hexdigest()


def _content(read: bytes | OSError | None) -> Content:
    if read is None:
        return Content(ABSENT, blank=True)
    if isinstance(read, OSError):
        return Content(f"unreadable {read.errno}", blank=True)
    return Content(hashlib.sha256(read).hexdigest(), blank=not read.strip(_BLANK))


def _attempt(path: Path) -> bytes | OSError | None:
    try:
        return _read(path)
    except OSError as exc:
        # Kept for its number and text only: its frames would hold the load, in a cycle.
        return exc.with_traceback(None)


def _read(path: Path) -> bytes | None:
    """At most a little more than the limit; None if there is nothing. Raises OSError."""
    try:
        if path.exists() and not path.is_file():
            # A folder, or a pipe that would block for ever.
            raise IsADirectoryError(21, "Is a directory")
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except ValueError:  # a NUL in the name
        return None


def too_large(file: str) -> Remark:
    most = MAX_BYTES // 1_000_000
    return Remark(f"{file} 太大：最多 {most} MB。", f"{file} is too large: at most {most} MB.")


def unreadable(file: str, exc: OSError) -> Remark:
    """Why ``file`` could not be read. A container's user is often not the share's."""
    if isinstance(exc, IsADirectoryError):
        return Remark(
            f"{file} 是一个文件夹，不是文件；请删掉它，放一个同名的文件。"
            "（在容器里：单独挂载的文件不存在时，Docker 会自动建一个这样的文件夹。）",
            f"{file} is a folder, not a file. Delete it and put a file of that name there. (Or, in "
            "a container: Docker makes such a folder when a file mounted by itself is missing.)",
        )
    reason = exc.strerror or type(exc).__name__
    return Remark(
        f"读不了 {file}（{reason}）；请检查文件权限"
        "（在容器里也可以把 PUID/PGID 设为文件的所有者）。",
        f"{file} cannot be read ({reason}). Check its permissions "
        "(or, in a container, set PUID/PGID to its owner).",
    )
