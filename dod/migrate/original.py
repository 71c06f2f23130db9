"""What dify-on-dingtalk runs with: its ``.bots.yaml``, its variables, and which of its forks it is.

Read as it reads them itself: ``.env`` by the rules of python-dotenv, under the ``environment`` of a
compose file; keys and variables that it ignores are no errors here either. Observed in v0.1 and in
the Redis fork of 2025-03: there the card template is the bot's, the conversations lie in Redis and
never expire, and Dify is told five inputs.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dod.config.document import parse
from dod.config.files import Files
from dod.config.load import load_file
from dod.config.masking import Mask
from dod.config.nodes import Mapping, Node, Scalar, Sequence, plain, scalars
from dod.config.problems import Problem, Report, nearest
from dod.config.schema import key_names, properties
from dod.config.source import Remark, Source
from dod.migrate.variables import entries_of, read_variables

NAME = ".bots.yaml"


class Unreadable(Exception):
    """There is nothing to move: says why, or shows what is wrong in the file."""

    def __init__(self, remark: Remark, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(remark.en)
        self.remark = remark
        self.problems = problems


@dataclass(frozen=True, slots=True)
class OldBot:
    """``keys``: by dod's name, as Python objects, with the line of each. ``left``: ignored keys."""

    line: int
    keys: dict[str, tuple[int, Any]] = field(repr=False)
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Original:
    """``variables``: all that are set; ``unread``: lines of ``.env``, names of a compose file."""

    folder: Path
    source: Source
    begin: int  # the line of ``bots:``
    bots: tuple[OldBot, ...]
    variables: dict[str, str] = field(repr=False)
    unread: tuple[str, ...]
    files: tuple[str, ...]
    mask: Mask
    warnings: tuple[Problem, ...]
    continued: frozenset[int]  # lines that are inside a value

    @property
    def keeps_in_redis(self) -> bool:
        """Whether it is the fork that needs a Redis."""
        return any(name.startswith("REDIS_") for name in self.variables) or (
            (self.folder / "core/rediscache.py").exists()
        )


def read_original(folder: Path) -> Original:
    """The original of ``folder`` (or of its ``docker/``, where its README puts the files).

    Raises Unreadable, also for an OSError.
    """
    if folder.name == NAME:
        folder = folder.parent
    home = next((it for it in (folder, folder / "docker") if (it / NAME).is_file()), folder)
    if not home.is_dir():
        raise Unreadable(_absent(folder))
    report = Report(Mask(*key_names()))
    files = Files(home, report)
    source = files.read(home / NAME)
    if not isinstance(source, Source):
        raise Unreadable(source or _absent(folder))
    parsed = parse(source)
    entry = entries_of(parsed.root).get("bots") if parsed.sound else None
    if not entry or not isinstance(entry.node, Sequence):
        raise Unreadable(BROKEN, _errors(home / NAME, frozenset()))
    if parsed.root and any(it.tag for it in scalars(parsed.root)):
        raise Unreadable(HAS_TAGS)
    bots, tolerated = _read_bots(entry.node.items)
    if errors := _errors(home / NAME, tolerated):
        raise Unreadable(BROKEN, errors)
    variables, unread, found = read_variables(files)
    for bot in bots:
        report.mask.learn(*(str(bot.keys[key][1]) for key in key_names()[0] & bot.keys.keys()))
    return Original(
        folder,
        source,
        entry.key.line,
        tuple(bots),
        variables,
        unread,
        (NAME, *found),
        report.mask,
        tuple(it for it in load_file(home / NAME, {}).problems if _about(it)),
        frozenset(
            number
            for it in scalars(parsed.root)  # type: ignore[arg-type]
            for number in range(it.place.line, it.last_line + 1)
            if it.last_line > it.place.line
        ),
    )


# -- the bots
def _read_bots(nodes: tuple[Node, ...]) -> tuple[list[OldBot], frozenset[tuple[int, int]]]:
    """The bots, and the places where dod is stricter than the original was."""
    known, bots = properties("bot"), []
    tolerated: set[tuple[int, int]] = set()
    for node in nodes:
        if not isinstance(node, Mapping):
            continue
        keys: dict[str, tuple[int, Any]] = {}
        left = []
        for key, entry in node.entries.items():
            if key in known:
                value = _value(entry.node, known[key]["type"])
                if value != plain(entry.node):
                    tolerated.add((entry.node.place.line, entry.node.place.column))
                keys[key] = (entry.key.line, value)
            else:
                tolerated.add((entry.key.line, entry.key.column))
                left.append(key)
        bots.append(OldBot(_line(node), keys, tuple(left)))
    return bots, frozenset(tolerated)


def _line(node: Mapping) -> int:
    return min((entry.key.line for entry in node.entries.values()), default=node.place.line)


def _value(node: Node, kind: str) -> Any:
    """A number as a name, or a number in quotes, is what was meant."""
    if not isinstance(node, Scalar) or node.value is None or node.tag:
        return plain(node)
    if kind == "string" and not isinstance(node.value, str):
        return node.text
    if kind == "integer" and isinstance(node.value, str) and re.fullmatch("[0-9]+", node.text):
        return int(node.text)
    return node.value


def _errors(path: Path, tolerated: frozenset[tuple[int, int]]) -> tuple[Problem, ...]:
    """What dod has to say against the file, where that matters to the move."""
    return tuple(
        problem
        for problem in load_file(path, {}).problems
        if problem.severity == "error"
        and problem.file == NAME
        and (problem.line, problem.column) not in tolerated
    )


def _about(problem: Problem) -> bool:
    # That it was GBK, had a BOM or could be better is over once it is written anew.
    serious = problem.severity == "warning" and not problem.advice
    return serious and problem.file == NAME and problem.line > 1


# -- the sentences
BROKEN = Remark(
    f"旧的 {NAME} 里有错误，先改好再搬；什么都没有写。",
    f"There are errors in the old {NAME}: correct them first. Nothing was written.",
)


HAS_TAGS = Remark(
    f"这个 {NAME} 用了 !secret 之类的标签，原项目不认识它们：它已经是 dod 的文件，不用搬。",
    f"This {NAME} uses tags like !secret, which the original does not know: it is a file of dod "
    "already and need not be moved.",
)


def _absent(folder: Path) -> Remark:
    if not folder.exists():
        return Remark(f"没有 {folder} 这个文件夹。", f"There is no folder {folder}.")
    if not folder.is_dir():
        return Remark(
            f"{folder} 不是文件夹；请给出放着 {NAME} 的文件夹。",
            f"{folder} is no folder; name the one that holds {NAME}.",
        )
    names = [it.name for it in folder.iterdir() if it.is_file()]
    meant = next((it for it in (*names,) if it == "bots.yaml"), "") or nearest(NAME, names, 0.7)
    return Remark(
        f"{folder} 里没有 {NAME}。"
        + (f"有一个 {meant}：如果就是它，请改名为 {NAME}。" if meant else ""),
        f"There is no {NAME} in {folder}."
        + (f" There is a {meant}: if that is the one, rename it to {NAME}." if meant else ""),
    )
