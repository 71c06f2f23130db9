"""The files a configuration is made of: reads them, and remembers which were looked for.

The closure (``looked_for``) is what a watcher must watch: also a file that does not exist yet.
"""

from pathlib import Path

from dod.config.problems import Report
from dod.config.source import MAX_BYTES, Remark, Source, decode


class Files:
    """Reads below ``folder``. ``given``: contents that come from elsewhere (``dod check -``)."""

    def __init__(
        self, folder: Path, report: Report, given: dict[Path, bytes] | None = None
    ) -> None:
        self.folder = folder
        self.looked_for: list[Path] = []
        self._report = report
        self._given = given or {}

    def read(self, path: Path, *, file: str = "", secret: bool = False) -> Source | Remark | None:
        """The source; why it cannot be read; or None if there is no such file.

        ``file`` is the name for people; default: the path relative to the folder.
        """
        if path not in self.looked_for:
            self.looked_for.append(path)
        if not file:
            file = path.name if path.parent == self.folder else self._relative(path)
        self._report.order.append(file)
        data = self._given.get(path)
        if data is None:
            try:
                data = _read(path)
            except OSError as exc:
                return unreadable(file, exc)
            if data is None:
                return None
        if len(data) > MAX_BYTES:
            return too_large(file)
        text, warnings, fault = decode(data)
        if fault:
            return fault
        source = Source(file, text, secret)
        self._report.mask.harvest(source)
        for warning in warnings:
            self._report.warn(source.at(1, 1), warning)
        return source

    def _relative(self, path: Path) -> str:
        try:
            return path.relative_to(self.folder).as_posix()
        except ValueError:
            return path.name


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
            f"{file} 是一个文件夹，不是文件（挂载时文件不存在，Docker 会自动建一个文件夹）；"
            "请删掉它，放一个同名的文件。",
            f"{file} is a folder, not a file (Docker makes one when a mounted file is missing). "
            "Delete it and put a file of that name there.",
        )
    reason = exc.strerror or type(exc).__name__
    return Remark(
        f"读不了 {file}（{reason}）；请检查文件权限，或设置 PUID/PGID 为文件的所有者。",
        f"{file} cannot be read ({reason}). Check its permissions, or set PUID/PGID to its owner.",
    )
