"""The comments of an old file, for the new one."""

import re

from dod.config.credentials import conceal
from dod.config.schema import key_names
from dod.migrate.original import Original


class Comments:
    """The comments of the old file, each used once; those that may hold a secret stay there."""

    def __init__(self, original: Original) -> None:
        self._lines = original.source.lines
        self._mask = original.mask
        self._used = set(original.continued)
        self._source = original.source
        self._any = any(bot.keys for bot in original.bots)
        names = "|".join(key_names()[0])
        self._key = re.compile(rf"\b({names})\b")
        self.hidden = 0

    def above(self, line: int) -> list[str]:
        """The block of comments above ``line``, without their indentation."""
        block: list[str] = []
        number = line - 1
        while number >= 1 and number not in self._used and self._is_none(number):
            self._used.add(number)
            block.insert(0, self._lines[number - 1].strip())
            number -= 1
        return self._clean(block)

    def beside(self, line: int) -> str:
        """The comment that ends ``line``, with the space before it."""
        match = re.search(r"\s#\s(?P<text>[^\"'{}]*)$", self._lines[line - 1])
        if not match or line in self._used:
            return ""
        self._used.add(line)
        return "".join(f"  {it}" for it in self._clean([f"# {match['text'].strip()}"]))

    def rest(self) -> list[str]:
        """Those at the end of the file."""
        return self.above(len(self._lines) + 1) if self._any else []

    def _is_none(self, number: int) -> bool:
        text = self._lines[number - 1].strip()
        return not text or text.startswith("#")

    def _clean(self, block: list[str]) -> list[str]:
        said = [it for it in block if it and "yaml-language-server" not in it]
        if any(self._key.search(it) or conceal(self._mask.text(it)) != it for it in said):
            self.hidden += len(said)
            return []
        return said
