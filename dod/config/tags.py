"""``!secret``, ``!env_var`` and ``!include``: resolved after parsing, before validation.

Whatever cannot be resolved becomes a ``fault`` of its node, told when the bot it belongs to is
looked at. Semantics: appliance §4.3.
"""

import re
from collections.abc import Mapping as Environ
from dataclasses import replace
from pathlib import Path

from dod.config.credentials import looks_secret
from dod.config.document import parse
from dod.config.files import Files
from dod.config.nodes import Entry, Node, Scalar, Sequence, scalars
from dod.config.problems import Report, nearest
from dod.config.secretsfile import Secrets
from dod.config.source import Remark
from dod.logs import MASK

MAX_DEPTH = 5
MAX_INCLUDES = 200  # in all: five levels of ten files each would be 100,000
TAGS = ("!secret", "!env_var", "!include")


class Tags:
    """Resolves the tags of one load. ``environ``: what ``!env_var`` sees."""

    def __init__(
        self, files: Files, report: Report, environ: Environ[str, str], secrets: Secrets
    ) -> None:
        self._files = files
        self._report = report
        self._environ = environ
        self._secrets = secrets
        self._included = 0

    def resolve_file(self, root: Node, chain: tuple[Path, ...]) -> Node:
        """As ``resolve``, for all that is in one file."""
        self._secrets.refer(it.text.strip() for it in scalars(root) if it.tag == "!secret")
        return self.resolve(root, chain)

    def resolve(self, node: Node, chain: tuple[Path, ...]) -> Node:
        """``node`` without tags. ``chain``: the files it came through, for cycles and depth."""
        if isinstance(node, Scalar):
            return self._scalar(node, chain) if node.tag else node
        if node.tag:
            return Scalar(node.place, None, "", tag=node.tag, fault=self._misplaced(node.tag))
        if isinstance(node, Sequence):
            return replace(node, items=tuple(self.resolve(item, chain) for item in node.items))
        entries = {
            key: Entry(entry.key, self.resolve(entry.node, chain))
            for key, entry in node.entries.items()
        }
        return replace(node, entries=entries)

    def _scalar(self, node: Scalar, chain: tuple[Path, ...]) -> Node:
        words = node.text.strip()
        if node.tag == "!include":
            return self._include(node, words, chain)
        node = replace(node, written=f"{node.tag} {words}".strip())
        if node.tag == "!secret":
            found = self._secrets.find(words) if words else self._wants_word("!secret")
            return _fault(node, found) if isinstance(found, Remark) else replace(node, value=found)
        if node.tag == "!env_var":
            return self._variable(node, words)
        return _fault(node, unknown_tag(node.tag, words))

    def _misplaced(self, tag: str) -> Remark:
        return self._wants_word(tag) if tag in TAGS else unknown_tag(tag, "")

    def _wants_word(self, tag: str) -> Remark:
        return wants_word(tag, _EXAMPLES.get(tag) or self._secrets.proposal)

    def _variable(self, node: Scalar, words: str) -> Node:
        name, _, default = words.partition(" ")
        if not name:
            return _fault(node, self._wants_word("!env_var"))
        value = self._environ.get(name, "") or default.strip()
        return replace(node, value=value) if value else _fault(node, no_variable(name))

    def _include(self, node: Scalar, name: str, chain: tuple[Path, ...]) -> Node:
        if not name:
            return _fault(node, self._wants_word("!include"))
        # The path as written is what is watched; where its links lead decides what is allowed.
        path = chain[-1].parent / name
        try:
            real, folder = path.resolve(), self._files.folder.resolve()
            passed = [it.resolve() for it in chain]
        except (OSError, ValueError, RuntimeError):
            return _fault(node, no_file(name))
        if not real.is_relative_to(folder):
            return _fault(node, outside(name))
        if real in passed:
            return _fault(node, cycle(" → ".join(it.name for it in (*chain, path))))
        self._included += 1
        if len(chain) > MAX_DEPTH or self._included > MAX_INCLUDES:
            return _fault(node, TOO_DEEP)
        source = self._files.read(path)
        if source is None:
            return _fault(node, no_file(name))
        if isinstance(source, Remark):
            return _fault(node, source)
        parsed = parse(source)
        for place, remark in parsed.remarks:
            self._report.error(place, remark)
        if not parsed.sound:
            return _fault(node, broken(source.file))
        if parsed.root is None:
            return _fault(node, empty(source.file))
        return self.resolve_file(parsed.root, (*chain, path))


def _fault(node: Scalar, remark: Remark) -> Scalar:
    return replace(node, value=None, fault=remark)


# -- the sentences
_EXAMPLES = {
    "!env_var": "!env_var IT_DIFY_KEY",
    "!include": "!include bots.d/it.yaml",
}
TOO_DEEP = Remark(
    f"!include 太多：最多嵌套 {MAX_DEPTH} 层、一共 {MAX_INCLUDES} 个。",
    f"Too many !include: at most {MAX_DEPTH} levels deep and {MAX_INCLUDES} in all.",
)


def unknown_tag(tag: str, words: str) -> Remark:
    match = re.fullmatch(r"(!secret|!env_var|!include)[:：]?([\w./-]+)", tag)
    if match and not words:
        shown = MASK if looks_secret(match[2]) else match[2]
        return Remark(
            f"{match[1]} 后面少了一个空格。",
            f"Missing space after {match[1]}.",
            f"{match[1]} {shown}",
        )
    meant = "" if tag.startswith("!!") else nearest(tag.lower(), list(TAGS), 0.5)
    if not meant:
        return Remark(
            f"不认识的标签 {tag}；可用的是 {'、'.join(TAGS)}。值以 “!” 开头时要加引号。",
            f"Unknown tag {tag}; there are {', '.join(TAGS)}. Quote a value that begins with '!'.",
        )
    shown = MASK if looks_secret(words) else words
    return Remark(f"不认识的标签 {tag}。", f"Unknown tag {tag}.", f"{meant} {shown}".strip())


def wants_word(tag: str, example: str) -> Remark:
    return Remark(
        f"{tag} 后面要有一个空格和一个词。",
        f"{tag} must be followed by a space and a word.",
        example,
        prose=True,
    )


def no_variable(name: str) -> Remark:
    return Remark(
        f"环境变量 {name} 没有设置（空的也算没有），也没有写默认值。",
        f"The environment variable {name} is not set (or empty), and there is no default.",
        f"!env_var {name} default",
        prose=True,
    )


def no_file(name: str) -> Remark:
    return Remark(f"找不到文件 {name}。", f"There is no file {name}.")


def outside(name: str) -> Remark:
    return Remark(
        f"{name} 不在配置文件夹里；!include 只能用配置文件夹下面的文件。",
        f"{name} is outside the configuration folder; !include stays below it.",
    )


def cycle(names: str) -> Remark:
    return Remark(f"!include 绕了一圈：{names}。", f"!include goes round in a circle: {names}.")


def broken(file: str) -> Remark:
    return Remark(
        f"{file} 有错误，没有采用（见 {file} 的那一条）。",
        f"{file} has errors and is not used (see the problem in {file}).",
    )


def empty(file: str) -> Remark:
    return Remark(f"{file} 是空的。", f"{file} is empty.")


__all__ = ["TAGS", "Tags"]
