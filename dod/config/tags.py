"""``!secret``, ``!env_var`` and ``!include``: resolved after parsing, before validation.

Whatever cannot be resolved becomes a ``fault`` of its node, told when the bot it belongs to is
looked at. Semantics: appliance §4.3.
"""

import re
from collections.abc import Mapping as Environ
from dataclasses import replace
from pathlib import Path

from dod.config.document import Entry, Mapping, Node, Scalar, Sequence, parse, scalars
from dod.config.files import Files
from dod.config.masking import looks_secret
from dod.config.problems import Report, nearest, very_near
from dod.config.source import Remark, Source
from dod.logs import MASK

RUN_SECRETS = Path("/run/secrets")
MAX_DEPTH = 5
MAX_INCLUDES = 200  # in all: five levels of ten files each would be 100,000
TAGS = ("!secret", "!env_var", "!include")
_NAME = re.compile(r"[\w][\w.-]{0,99}")


class Tags:
    """Resolves the tags of one load. ``environ``: what ``!env_var`` sees."""

    def __init__(
        self, files: Files, report: Report, environ: Environ[str, str], run_secrets: Path
    ) -> None:
        self._files = files
        self._report = report
        self._environ = environ
        self._run_secrets = run_secrets
        self._secrets: dict[str, Scalar] = {}
        self._secrets_fault: Remark | None = None
        self._secrets_absent = False
        self._broken: set[str] = set()  # entries of secrets.yaml that stand where it is wrong
        self._used: set[str] = set()
        self._included = 0

    @property
    def values(self) -> tuple[str, ...]:
        """The secrets of secrets.yaml."""
        return tuple(node.text for node in self._secrets.values())

    def read_secrets(self) -> None:
        """Read secrets.yaml, even if nothing refers to it: its values must never be shown."""
        path = self._files.folder / "secrets.yaml"
        source = self._files.read(path, secret=True)
        if isinstance(source, Remark):
            self._break(Source("secrets.yaml", ""), source)
        if not isinstance(source, Source):
            self._secrets_absent = source is None
            return
        parsed = parse(source)
        for place, remark in parsed.remarks:
            self._report.error(place, remark)
            self._broken.add(_name_on(place.text))
        if not parsed.sound:
            self._secrets_fault = SECRETS_BROKEN
        if parsed.root is None:
            return
        if not isinstance(parsed.root, Mapping):
            self._break(source, SECRETS_SHAPE)
            return
        for name, entry in parsed.root.entries.items():
            self._enter(name, entry)

    def _break(self, source: Source, remark: Remark) -> None:
        self._report.error(source.at(1, 1), remark)
        self._secrets_fault = SECRETS_BROKEN

    def _enter(self, name: str, entry: Entry) -> None:
        node = entry.node
        if not isinstance(node, Scalar) or node.tag:
            self._report.error(node.place, SECRETS_SHAPE)
            return
        self._report.mask.learn(node.text)
        self._secrets[name] = node
        if node.value is None or node.value == "":
            self._report.error(entry.key, secret_empty(name))
        elif not isinstance(node.value, str):
            self._report.error(node.place, secret_number(name))

    def resolve_file(self, root: Node, chain: tuple[Path, ...]) -> Node:
        """As ``resolve``, for all that is in one file."""
        self._used |= {it.text.strip() for it in scalars(root) if it.tag == "!secret"}
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
            return self._secret(node, words)
        if node.tag == "!env_var":
            return self._variable(node, words)
        return _fault(node, unknown_tag(node.tag, words))

    def _misplaced(self, tag: str) -> Remark:
        return wants_word(tag) if tag in TAGS else unknown_tag(tag, "")

    def _secret(self, node: Scalar, name: str) -> Node:
        if not name:
            return _fault(node, wants_word("!secret"))
        if name in self._broken:
            return _fault(node, SECRETS_BROKEN)
        if found := self._secrets.get(name):
            if isinstance(found.value, str) and found.value:
                return replace(node, value=found.value)
            return _fault(node, secret_unusable(name))
        if _NAME.fullmatch(name):
            path = self._run_secrets / name
            source = self._files.read(path, secret=True)
            if isinstance(source, Remark):
                return _fault(node, source)
            if source:
                value = source.text.removesuffix("\n")
                self._report.mask.learn(value)
                return replace(node, value=value) if value else _fault(node, secret_unusable(name))
        return _fault(node, self._secrets_fault or self._no_secret(name))

    def _no_secret(self, name: str) -> Remark:
        if looks_secret(name) or not _NAME.fullmatch(name):
            return NOT_A_SECRETS_NAME
        if self._secrets_absent:
            return no_secrets_file(name)
        # Another bot's secret must never be proposed, however alike the names are.
        return no_secret(name, [it for it in self._secrets if it not in self._used])

    def _variable(self, node: Scalar, words: str) -> Node:
        name, _, default = words.partition(" ")
        if not name:
            return _fault(node, wants_word("!env_var"))
        value = self._environ.get(name, "") or default.strip()
        return replace(node, value=value) if value else _fault(node, no_variable(name))

    def _include(self, node: Scalar, name: str, chain: tuple[Path, ...]) -> Node:
        if not name:
            return _fault(node, wants_word("!include"))
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


def _name_on(line: str) -> str:
    """The name that ``line`` of secrets.yaml begins with."""
    match = re.match(r"\s*[\"']?([\w.-]+)", line)
    return match[1] if match else ""


def _fault(node: Scalar, remark: Remark) -> Scalar:
    return replace(node, value=None, fault=remark)


# -- the sentences
SECRETS_BROKEN = Remark(
    "secrets.yaml 有错误，里面的值用不了（见 secrets.yaml 的那一条）。",
    "secrets.yaml has errors, so its values cannot be used (see the problem in secrets.yaml).",
)
SECRETS_SHAPE = Remark(
    "secrets.yaml 里每行只能是“名称: 值”，不能嵌套，也不能用标签。",
    "secrets.yaml holds flat 'name: value' lines only: nothing nested, no tags.",
    'name: "…"',
)
TOO_DEEP = Remark(
    f"!include 太多：最多嵌套 {MAX_DEPTH} 层、一共 {MAX_INCLUDES} 个。",
    f"Too many !include: at most {MAX_DEPTH} levels deep and {MAX_INCLUDES} in all.",
)
EXAMPLES = {
    "!secret": "!secret it_dify_key",
    "!env_var": "!env_var IT_DIFY_KEY",
    "!include": "!include bots.d/it.yaml",
}


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


def wants_word(tag: str) -> Remark:
    return Remark(
        f"{tag} 后面要有一个空格和一个词。",
        f"{tag} must be followed by a space and a word.",
        EXAMPLES[tag],
    )


NOT_A_SECRETS_NAME = Remark(
    "!secret 后面要写 secrets.yaml 里的名称，不是密钥本身。",
    "!secret takes the name of an entry of secrets.yaml, not the secret itself.",
    EXAMPLES["!secret"],
)


def no_secrets_file(name: str) -> Remark:
    return Remark(
        f"“!secret {name}” 要从 secrets.yaml 取值，但配置文件夹里没有 secrets.yaml。",
        f"'!secret {name}' takes its value from secrets.yaml, and there is no such file here.",
        f'新建 secrets.yaml，写 · create secrets.yaml with: {name}: "…"',
    )


def no_secret(name: str, free: list[str]) -> Remark:
    """``free``: the entries that nothing refers to."""
    meant = very_near(name, free)
    return Remark(
        f"secrets.yaml 里没有 “{name}”。",
        f"secrets.yaml has no entry '{name}'.",
        f"!secret {meant}"
        if meant
        else f'在 secrets.yaml 里加一行 · add to secrets.yaml: {name}: "…"',
    )


def secret_unusable(name: str) -> Remark:
    return Remark(
        f"secrets.yaml 里的 “{name}” 是空的，或没有加引号的数字，用不了。",
        f"The entry '{name}' of secrets.yaml is empty or an unquoted number.",
    )


def secret_empty(name: str) -> Remark:
    return Remark(f"“{name}” 后面是空的。", f"There is nothing after '{name}'.", f'{name}: "…"')


def secret_number(name: str) -> Remark:
    return Remark(
        f"“{name}” 看起来像数字或日期，会丢掉前导 0 或变成科学计数；请加引号。",
        f"'{name}' looks like a number or a date; quote it.",
        f'{name}: "…"',
    )


def no_variable(name: str) -> Remark:
    return Remark(
        f"环境变量 {name} 没有设置（空的也算没有），也没有写默认值。",
        f"The environment variable {name} is not set (or empty), and there is no default.",
        f"!env_var {name} default",
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


__all__ = ["RUN_SECRETS", "TAGS", "Tags"]
