"""No problem may show a secret, not even one on a line that does not parse.

Three nets: values known to be secret are replaced wherever they occur; of every shown line, what
follows a key that sounds like a secret is hidden, with the lines that continue it; and everything
that looks like a credential. Hiding too much is fine: the admin has the file.
"""

import re

from dod.config.credentials import conceal, credentials_in, looks_secret, tame
from dod.config.source import Place, Source
from dod.logs import MASK

# Shorter ones hit ordinary words; where they stand, the line rules hide them anyway.
SHORTEST = 6
# In a comment, where people use words, shorter ones are meant only where they stand alone.
WORD = 12
WIDEST = 160  # characters of a source line that are shown
LONGEST = 5_000  # a longer line is hidden whole: it is no line of a person, and costs time
MOST_LINES = 5_000  # searched for secrets in advance; no person writes more
_TAG = re.compile(r"!\w+\s+(?P<name>[\w.-]+)(?P<rest>[^,}\]#]*)")
_HARMLESS = re.compile(
    r"""["'“”‘’]?<[^<>]*>["'“”‘’]?\s*[,}]?|["'“”‘’]{0,2}|[|>][-+0-9]*|null|~"""
    r"""|\[?["']?[#&]?…["']?\]?"""  # what we propose ourselves
    r"""|["']?[!！]?\s?(secret|env_var|include)s?(\s+[a-z]{1,12}(_[a-z0-9]{1,8}){1,3})?["']?"""
)
# A value between braces, up to the sign that ends it: within quotes none does.
_IN_FLOW = re.compile(
    r"""(?:[!&][^\s,}]*\s+)?(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|(?!["'])|["'].*)[^,}]*(?=[,}]|$)"""
)
_OPENER = re.compile(
    r"^\s*(-\s+)*[\"']?[\w.$-]+[\"']?\s*[:：=]|^\s*-\s|^([<=>]{7}|-{3}|\.{3})|^\s*#"
)


class Mask:
    """What is known to be secret in one load. ``keys``: the secret ones; ``plain``: the others."""

    def __init__(self, keys: frozenset[str], plain: frozenset[str]) -> None:
        self._known: set[str] = set()
        self._plain = plain
        names = "|".join(sorted(map(re.escape, keys), key=len, reverse=True))
        self._key = re.compile(
            rf"(?<![\w!])(?P<exact>{names})(?P<sep>[\"']?[ \t]*[:：=]?[ \t]*)"
            r"|(?<![\w.!！-])(?P<like>[\w.-]{0,40}"
            r"(?:secret|key|passw|token|credential|密钥|密码|口令)[\w.-]{0,40})"
            r"[\"']?[ \t]*(?:[:：=]|[ \t])[ \t]*",
            re.IGNORECASE,
        )

    def learn(self, *values: str) -> None:
        """Hide these everywhere; a value of several lines is hidden line by line, too."""
        for value in values:
            for part in (value, *value.split("\n")):
                if SHORTEST <= len(part.strip()) <= LONGEST:
                    self._known.add(part.strip())

    @property
    def known(self) -> frozenset[str]:
        return frozenset(self._known)

    def harvest(self, source: Source) -> None:
        """Learn what the line rules find: it may be quoted elsewhere, in an error for one."""
        for number, line in enumerate(source.lines[:MOST_LINES], 1):
            for start, end in self._rules(source, number):
                self.learn(line[start:end].strip().strip("\"'“”‘’,{}[]"))

    def text(self, text: str) -> str:
        """``text`` without known secrets and credentials."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return conceal(text)

    def line(self, place: Place) -> tuple[str, int]:
        """The line of ``place`` as it may be shown, and the place's offset in it."""
        line, caret = place.text, place.column - 1
        shown: list[str] = []
        done, offset = 0, -1
        for start, end in self._spans(place.source, place.line):
            if offset < 0 and caret < end:
                before = sum(map(len, shown))
                offset = before + (caret - done if caret <= start else start - done)
            shown += [line[done:start], MASK]
            done = end
        if offset < 0:
            offset = sum(map(len, shown)) + caret - done
        shown.append(line[done:])
        return _window(tame("".join(shown)), offset)

    def proposal(self, place: Place, fix: str) -> str:
        """``fix`` of the line of ``place``: hidden by position, as the line itself is."""
        above = place.source.lines[max(0, place.line - 21) : place.line - 1]
        # What is proposed mostly comes without the blanks, which tell where it belongs.
        pad = "" if fix[:1].isspace() else place.text[: _indent(place.text)]
        source = Source(place.source.file, "\n".join((*above, pad + fix)), place.source.secret)
        line, done, shown = pad + fix, 0, ""
        for start, end in self._spans(source, len(above) + 1):
            # The quotes may be what is proposed.
            quotes = end - start > 1 and line[start] in "\"'" and line[start] == line[end - 1]
            shown, done = shown + line[done : start + quotes] + MASK, end - quotes
        return self.text((shown + line[done:])[len(pad) :])

    def _spans(self, source: Source, number: int) -> list[tuple[int, int]]:
        line = source.lines[number - 1]
        spans = self._rules(source, number)
        spans += credentials_in(line)
        comment = _comment(line)
        for secret in self._known:
            start = line.find(secret)
            while start >= 0:
                end = start + len(secret)
                if start < comment or len(secret) >= WORD or _alone(line, start, end):
                    spans.append((start, end))
                start = line.find(secret, start + 1)
        merged: list[tuple[int, int]] = []
        for start, end in sorted(spans):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            elif end > start:
                merged.append((start, end))
        return merged

    def _rules(self, source: Source, number: int) -> list[tuple[int, int]]:
        """Where the line's secrets must stand by its keys alone, or by the lines above it."""
        line = source.lines[number - 1]
        end, comment = len(line.rstrip()), _comment(line)
        if end > LONGEST:
            return [(0, end)]
        if source.secret:
            match = re.match(r"[\s#]*[\w.-]*[\"']?\s*[:：]\s*", line)
            if not match and line[comment : comment + 1] == "#" and comment == _indent(line):
                return []
            start = match.end() if match else len(line) - len(line.lstrip())
            return _hidden(line, start, end)
        if comment > _indent(line) and self._continues(source, number):
            return [(len(line) - len(line.lstrip()), end)] if end else []
        spans: list[tuple[int, int]] = []
        judged = 0
        for match in self._key.finditer(line):
            if match["like"] is not None and match["like"].lower() in self._plain:
                continue
            if match.start() < judged:
                continue
            if match.start() >= comment and not re.search("[:：=]", match["sep"] or ""):
                continue  # people write of keys in comments
            stop = end
            if "{" in line[: match.start()] and (cut := _IN_FLOW.match(line, match.end())):
                stop = cut.end()
            hidden = _hidden(line, match.end(), stop)
            spans += hidden
            judged = hidden[-1][1] if hidden else stop if _harmless(line[match.end() : stop]) else 0
        return spans

    def _continues(self, source: Source, number: int) -> bool:
        """Whether the line goes on with a secret that began above it."""
        line = source.lines[number - 1]
        floor, alone = _indent(line), not _OPENER.match(line)
        for above in range(number - 1, max(0, number - 20), -1):
            text = source.lines[above - 1]
            if not text.strip():
                continue
            if match := self._last_key(text):
                rest = text[match.end() :].strip()
                if not rest or rest[0] in "|>":
                    return alone or floor > _indent(text.replace("- ", "  ", 1))
                return alone and not rest.startswith("!") and not _HARMLESS.fullmatch(rest)
            floor = min(floor, _indent(text))
            alone = alone and not _OPENER.match(text)
            if not alone and not floor:
                return False
        return False

    def _last_key(self, text: str) -> re.Match[str] | None:
        if text.lstrip().startswith("#"):
            return None
        found = None
        for match in self._key.finditer(text):
            if match["like"] is None or match["like"].lower() not in self._plain:
                found = match
        return found


def _comment(line: str) -> int:
    """Where the comment of ``line`` begins, or its end. Quotes are not looked at."""
    if line.lstrip().startswith("#"):
        return _indent(line)
    found = re.search(r"\s#(?=\s|$)", line)
    return found.start() if found else len(line)


def _alone(line: str, start: int, end: int) -> bool:
    around = line[start - 1 : start] + line[end : end + 1]
    return not re.search("[A-Za-z0-9]", around)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _hidden(line: str, start: int, end: int) -> list[tuple[int, int]]:
    """The part of ``line[start:end]`` to hide: all, unless it is a tag, a placeholder or empty."""
    value = line[start:end].strip()
    if not value or _harmless(value):
        return []
    if match := _TAG.match(value):
        if looks_secret(match["name"]):
            return [(start, end)]
        rest = start + line[start:end].index(value) + match.start("rest")
        return [(rest + 1, end)] if match["rest"].strip() else []
    return [(start, end)]


def _harmless(value: str) -> bool:
    return bool(_HARMLESS.fullmatch(value.strip()))


def _window(line: str, offset: int) -> tuple[str, int]:
    """At most ``WIDEST`` characters around ``offset``."""
    if len(line) <= WIDEST:
        return line, offset
    start = max(0, min(offset - WIDEST // 3, len(line) - WIDEST))
    head, tail = ("…" if start else ""), ("…" if start + WIDEST < len(line) else "")
    return head + line[start : start + WIDEST] + tail, offset - start + len(head)
