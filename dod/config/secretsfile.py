"""``secrets.yaml``, and the files of /run/secrets: flat ``name: value``, for ``!secret name``."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dod.config.credentials import looks_secret
from dod.config.document import parse
from dod.config.files import Files
from dod.config.nodes import Entry, Mapping, Scalar
from dod.config.problems import Report, very_near
from dod.config.source import Place, Remark, Source
from dod.config.widesigns import in_word
from dod.config.writing import UNFILLED, curly, in_curly_quotes, truncated, unfilled

RUN_SECRETS = Path("/run/secrets")
_NAME = re.compile(r"[\w][\w.-]{0,99}")


class Secrets:
    """The secrets of one load."""

    def __init__(self, files: Files, report: Report, run_secrets: Path) -> None:
        self._files = files
        self._report = report
        self._run_secrets = run_secrets
        self._entries: dict[str, tuple[Place, Scalar]] = {}
        self._fault: Remark | None = None
        self._absent = False
        self._broken: set[str] = set()  # entries that stand where the file is wrong
        self._used: set[str] = set()

    @property
    def values(self) -> tuple[str, ...]:
        """The secrets of secrets.yaml."""
        return tuple(node.text for _, node in self._entries.values())

    @property
    def unused(self) -> list[tuple[str, Place]]:
        """The entries that nothing refers to, and where they stand."""
        return [(name, it[0]) for name, it in self._entries.items() if name not in self._used]

    @property
    def absent(self) -> bool:
        """Whether there is no secrets.yaml."""
        return self._absent

    def free_name(self, wanted: str) -> str:
        """``wanted``, or what comes next to it, which no entry has."""
        names = (wanted, *(f"{wanted}_{number}" for number in range(2, len(self._entries) + 3)))
        return next(name for name in names if name not in self._entries)

    def holding(self, value: str) -> str:
        """The name of an entry that is ``value`` already, or nothing."""
        return next((name for name, it in self._entries.items() if it[1].value == value), "")

    @property
    def proposal(self) -> str:
        """How a new entry is made and referred to, as an example."""
        name = self.free_name("my_secret")
        return f"{into(name, absent=self._absent)} → !secret {name}"

    def refer(self, names: Iterable[str]) -> None:
        """Note what a file refers to, before any of it is looked up."""
        self._used.update(names)

    def read(self) -> None:
        """Read secrets.yaml, even if nothing refers to it: its values must never be shown."""
        path = self._files.folder / "secrets.yaml"
        source = self._files.read(path, secret=True)
        if isinstance(source, Remark):
            self._break(Source("secrets.yaml", ""), source)
        if not isinstance(source, Source):
            self._absent = source is None
            return
        parsed = parse(source)
        for place, remark in parsed.remarks:
            self._report.error(place, remark)
            self._broken.add(_name_on(place.text))
        if not parsed.sound:
            self._fault = SECRETS_BROKEN
        if parsed.root is None:
            return
        if not isinstance(parsed.root, Mapping):
            self._break(source, SECRETS_SHAPE)
            return
        for name, entry in parsed.root.entries.items():
            self._enter(name, entry)

    def _break(self, source: Source, remark: Remark) -> None:
        self._report.error(source.at(1, 1), remark)
        self._fault = SECRETS_BROKEN

    def _enter(self, name: str, entry: Entry) -> None:
        node = entry.node
        if not isinstance(node, Scalar) or node.tag:
            self._report.error(node.place, SECRETS_SHAPE)
            return
        self._report.mask.learn(node.text)
        self._entries[name] = entry.key, node
        if node.value is None or node.value == "":
            self._report.error(entry.key, secret_empty(name))
        elif not isinstance(node.value, str):
            self._report.error(node.place, secret_number(name))

    def find(self, name: str) -> str | Remark:
        """The value of ``name``, or why there is none."""
        if name in self._broken:
            return SECRETS_BROKEN
        if found := self._entries.get(name):
            return self._judged(name, found[1])
        if _NAME.fullmatch(name):
            source = self._files.read(self._run_secrets / name, secret=True)
            if isinstance(source, Remark):
                return source
            if source:
                value = source.text.removesuffix("\n")
                self._report.mask.learn(value)
                return value or empty(name)
        return self._fault or self._no_secret(name)

    def _judged(self, name: str, node: Scalar) -> str | Remark:
        value = node.value
        if not isinstance(value, str) or not value:
            return unusable(name)  # what is wrong was said when the file was read
        wrong = _wrong(name, node, value)
        if wrong:
            self._report.error(node.place, wrong)
            return unusable(name)
        if node.plain and re.match(r"\s+#\S", node.after):
            self._report.warn(node.place, truncated(name))
        return value

    def _no_secret(self, name: str) -> Remark:
        first = name.split(maxsplit=1)[0]
        if first in self._entries:
            return extra_words(first)
        if looks_secret(name) or not _NAME.fullmatch(name):
            return not_a_name(self.proposal)
        if self._absent:
            return no_secrets_file(name)
        # Another bot's secret must never be proposed, however alike the names are.
        return no_secret(name, [it for it, _ in self.unused])


def _wrong(name: str, node: Scalar, value: str) -> Remark | None:
    """What a keyboard or an example left in a secret."""
    if UNFILLED.fullmatch(value):
        return unfilled(name)
    if node.plain and in_curly_quotes(value, strict=False):
        return curly(name, value, secret=True)
    if found := in_word(value):
        return replace(found[1], fix=f'{name}: "…"')
    return None


def _name_on(line: str) -> str:
    """The name that ``line`` of secrets.yaml begins with."""
    match = re.match(r"\s*[\"']?([\w.-]+)", line)
    return match[1] if match else ""


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


def not_a_name(proposal: str) -> Remark:
    return Remark(
        "!secret 后面要写 secrets.yaml 里的名称，不是密钥本身。",
        "!secret takes the name of an entry of secrets.yaml, not the secret itself.",
        proposal,
        prose=True,
    )


def extra_words(name: str) -> Remark:
    return Remark(
        f"“!secret {name}” 后面还有多余的内容；请删掉（注释前要有一个空格和 #）。",
        f"There is something after '!secret {name}'; delete it (a comment begins with ' #').",
        f"!secret {name}",
    )


def into(name: str, *, absent: bool = False) -> str:
    """How an entry ``name`` is added to secrets.yaml, in both languages."""
    how = (
        "新建 secrets.yaml，写 · create secrets.yaml with"
        if absent
        else "在 secrets.yaml 里加一行 · add to secrets.yaml"
    )
    return f'{how}: {name}: "…"'


def no_secrets_file(name: str) -> Remark:
    return Remark(
        f"“!secret {name}” 要从 secrets.yaml 取值，但配置文件夹里没有 secrets.yaml。",
        f"'!secret {name}' takes its value from secrets.yaml, and there is no such file here.",
        into(name, absent=True),
        prose=True,
    )


def no_secret(name: str, free: list[str]) -> Remark:
    """``free``: the entries that nothing refers to."""
    meant = very_near(name, free)
    return Remark(
        f"secrets.yaml 里没有 “{name}”。",
        f"secrets.yaml has no entry '{name}'.",
        f"!secret {meant}" if meant else into(name),
        prose=True,
    )


def unusable(name: str) -> Remark:
    return Remark(
        f"secrets.yaml 里的 “{name}” 用不了（见 secrets.yaml 的那一条）。",
        f"The entry '{name}' of secrets.yaml cannot be used (see the problem in secrets.yaml).",
    )


def secret_empty(name: str) -> Remark:
    return Remark(f"“{name}” 后面是空的。", f"There is nothing after '{name}'.", f'{name}: "…"')


def secret_number(name: str) -> Remark:
    return Remark(
        f"“{name}” 看起来像数字或日期，会丢掉前导 0 或变成科学计数；请加引号。",
        f"'{name}' looks like a number or a date; quote it.",
        f'{name}: "…"',
    )


def empty(name: str) -> Remark:
    return Remark(
        f"Docker 密钥文件 /run/secrets/{name} 是空的。",
        f"The Docker secret /run/secrets/{name} is empty.",
    )
