"""Which of the files that might be the configuration is it: the first that is there.

A ``bots.yaml`` counts more than the ``.bots.yaml`` of dify-on-dingtalk, unless it is our own
example that nobody has touched.
"""

from pathlib import Path

from dod.config.absence import NO_FOLDER, ignored, no_file, no_such_file
from dod.config.example import is_example
from dod.config.files import Files, unreadable
from dod.config.problems import Report
from dod.config.source import Remark, Source

NAMES = ("bots.yaml", ".bots.yaml")


class Candidates:
    """Of one load. ``taken``: the name of the one that counts, once it is ``read``; else empty."""

    def __init__(self, paths: list[Path], files: Files, report: Report) -> None:
        self._paths = paths
        self._files = files
        self._report = report
        self.taken = ""

    @property
    def name(self) -> str:
        """Also of one that is not there: what people are to write."""
        return self.taken or self._paths[0].name

    def read(self) -> Source | Remark:
        """The source, or why there is none. Warns of another file that is ignored for it."""
        for path in self._paths:
            source = self._files.read(path)
            if source is not None:
                if self._unused_example(source, path):
                    continue
                self.taken = path.name
                self._warn_of_ignored()
                return source
        return self._absent()

    def _unused_example(self, source: Source | Remark, path: Path) -> bool:
        """The untouched first example, beside which somebody has put the file of the original."""
        if not isinstance(source, Source) or not is_example(source.text):
            return False
        later = self._paths[self._paths.index(path) + 1 :]
        return any(self._files.exists(one) for one in later)

    def _warn_of_ignored(self) -> None:
        for path in self._paths:
            if path.name != self.taken and self._files.exists(path):
                place = Source(path.name, "").at(1, 1)
                self._report.warn(place, ignored(path.name, self.taken))

    def _absent(self) -> Remark:
        folder = self._files.folder
        try:
            there = folder.is_dir()
        except OSError as exc:
            return unreadable(str(folder), exc)
        if not there:
            return NO_FOLDER
        name = self._paths[0].name
        return no_file(name) if name in NAMES else no_such_file(name)
