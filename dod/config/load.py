"""Files → ``Loaded``: the accepted bots, everything that is wrong, and which files were looked at.

One code path for start, reload and ``dod check``. Never raises for anything a file may contain.
"""

from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dod import logs
from dod.config.bots import config_of, read_bots, unresolved, usable_defaults
from dod.config.complaints import slips_in
from dod.config.document import Entry, Mapping, Node, Scalar, Sequence, parse
from dod.config.environment import Environment, read_dotenv, read_environment, together
from dod.config.example import is_example
from dod.config.files import Files, too_large, unreadable
from dod.config.masking import Mask
from dod.config.problems import Problem, Report, nearest
from dod.config.rules import check
from dod.config.schema import key_names, properties
from dod.config.source import GARBLED, Place, Remark, Source
from dod.config.spec import Config, Language
from dod.config.tags import RUN_SECRETS, Tags

Verdict = Literal["accepted", "partly", "rejected", "waiting"]
NAMES = ("bots.yaml", ".bots.yaml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one look at the files gave.

    ``config`` is None when nothing of the file may be used (``rejected``: it does not parse, or
    none of its bots is right; ``waiting``: there is nothing to read yet). ``rejected`` names the
    bots that are left out; one without a name of its own is ``#2`` by its position. ``files``: all
    that were looked for, absent ones too. ``unresolved``: by bot, see ``bots.Tagged``; ``top``:
    likewise, the accepted keys outside the bots. ``clients``: the client ids of the rejected ones.
    ``fingerprint``: of the very bytes of ``files`` that were read, see ``files.fingerprint``; not
    compared, so that a new comment is no new configuration.
    """

    file: str
    config: Config | None
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]
    rejected: tuple[str, ...]
    verdict: Verdict
    unresolved: Map[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    language: Language = "auto"
    environment: Environment = field(default_factory=Environment)
    top: Map[str, Any] = field(default_factory=dict, repr=False)
    clients: Map[str, str] = field(default_factory=dict, repr=False)
    fingerprint: str = field(default="", compare=False)

    @property
    def accepted(self) -> tuple[str, ...]:
        return tuple(bot.name for bot in self.config.bots) if self.config else ()


def load(folder: Path, environ: Map[str, str], *, run_secrets: Path = RUN_SECRETS) -> Loaded:
    """Read ``bots.yaml``, else ``.bots.yaml``, of ``folder``."""
    return _Load(folder, environ, run_secrets).run([folder / name for name in NAMES])


def load_file(path: Path, environ: Map[str, str], *, run_secrets: Path = RUN_SECRETS) -> Loaded:
    """Read exactly ``path``; its neighbours are ``secrets.yaml`` and ``.env``."""
    return _Load(path.parent, environ, run_secrets).run([path])


def load_text(
    data: bytes | str,
    environ: Map[str, str],
    *,
    folder: Path,
    name: str = "-",
    run_secrets: Path = RUN_SECRETS,
) -> Loaded:
    """Read ``data`` as if it were the file ``name`` of ``folder``."""
    given = {folder / name: data.encode() if isinstance(data, str) else data}
    return _Load(folder, environ, run_secrets, given).run([folder / name])


class _Load:
    """One load: lives for one call of ``run``."""

    def __init__(
        self,
        folder: Path,
        environ: Map[str, str],
        run_secrets: Path,
        given: dict[Path, bytes] | None = None,
    ) -> None:
        self._folder = folder
        self._environ = environ
        self._report = Report(Mask(*key_names()))
        self._files = Files(folder, self._report, given)
        self._given = given or {}
        self._run_secrets = run_secrets
        self._environment = Environment()
        self._language: Language = "auto"
        self._shown = ""
        self._secrets: list[str] = []
        self._top: dict[str, Any] = {}
        self._clients: dict[str, str] = {}

    def run(self, paths: list[Path]) -> Loaded:
        source = self._first(paths)
        dotenv = self._files.read(self._folder / ".env")
        variables = read_dotenv(dotenv, self._report) if isinstance(dotenv, Source) else {}
        if isinstance(dotenv, Remark):
            self._report.warn(Source(".env", "").at(1, 1), dotenv)
        self._environment = read_environment(self._environ, variables, self._report)
        self._language = self._environment.lang
        tags = Tags(
            self._files, self._report, together(self._environ, variables), self._run_secrets
        )
        tags.read_secrets()
        if not isinstance(source, Source):
            missing = Source(self._shown or paths[0].name, "")
            return self._nothing(missing, source or self._absent(paths))
        parsed = parse(source)
        for place, remark in parsed.remarks:
            self._report.error(place, remark)
        if parsed.sound and (parsed.root is None or _hollow(parsed.root)):
            return self._nothing(source, ONLY_COMMENTS if "#" in source.text else EMPTY)
        if parsed.root is None:
            return self._end("rejected")
        root = tags.resolve_file(parsed.root, (self._folder / self._shown,))
        loaded = self._read(root, sound=parsed.sound)
        if loaded.config:
            logs.hide(*self._secrets, *tags.values)
        return loaded

    def _first(self, paths: list[Path]) -> Source | Remark | None:
        for path in paths:
            source = self._files.read(path)
            if source is not None:
                if self._unused_example(source, path, paths):
                    continue
                self._shown = path.name
                self._warn_of_ignored(path.name, paths)
                return source
        return None

    def _unused_example(self, source: Source | Remark, path: Path, paths: list[Path]) -> bool:
        """The untouched first example, beside which somebody has put the file of the original."""
        if not isinstance(source, Source) or not is_example(source.text):
            return False
        return any(self._files.exists(later) for later in paths[paths.index(path) + 1 :])

    def _warn_of_ignored(self, taken: str, paths: list[Path]) -> None:
        for path in paths:
            if path.name != taken and self._files.exists(path):
                self._report.warn(Source(path.name, "").at(1, 1), ignored(path.name, taken))

    def _absent(self, paths: list[Path]) -> Remark:
        try:
            there = self._folder.is_dir()
        except OSError as exc:
            return unreadable(str(self._folder), exc)
        if not there:
            return NO_FOLDER
        name = paths[0].name
        return no_file(name) if name in NAMES else no_such_file(name)

    def _nothing(self, source: Source, remark: Remark) -> Loaded:
        self._report.error(source.at(1, 1), remark)
        unusable = remark in {GARBLED, too_large(source.file)}
        return self._end("rejected" if unusable else "waiting")

    def _read(self, root: Node, *, sound: bool) -> Loaded:
        """The root node of a file that parses, or that could be repaired well enough to go on."""
        if not isinstance(root, Mapping):
            self._complain_root(root)
            return self._end("rejected")
        rest = {key: it for key, it in root.entries.items() if key not in {"bots", "defaults"}}
        top = check(Mapping(root.place, rest), "top")
        self._report.mask.learn(*top.secrets)
        for finding in top.findings:
            tell = self._report.warn if finding.warning else self._report.error
            tell(finding.place, finding.remark)
        self._top = {key: unresolved(it.node) for key, it in rest.items() if key not in top.bad}
        defaults = self._defaults(root)
        nodes = self._bots(root)
        if nodes is None:
            return self._end("rejected")
        bots = read_bots(nodes, defaults, self._environment, self._report)
        self._secrets += top.secrets
        for bot in bots:
            self._secrets += bot.secrets
        specs = tuple(bot.spec for bot in bots if bot.spec)
        rejected = tuple(bot.label for bot in bots if not bot.spec)
        self._clients = {bot.label: bot.client for bot in bots if not bot.spec and bot.client}
        if not sound or (rejected and not specs):
            return self._end("rejected", rejected=rejected if sound else ())
        config = config_of(top, specs)
        if config.language != "auto":
            self._language = config.language
        return self._end(
            "partly" if self._report.failed else "accepted",
            config,
            rejected,
            {bot.spec.name: dict(bot.unresolved) for bot in bots if bot.spec},
        )

    def _complain_root(self, root: Node) -> None:
        if isinstance(root, Scalar) and root.fault:
            self._report.error(root.place, root.fault)
        else:
            for place, remark in slips_in(root) or [(root.place, NO_ROOT)]:
                self._report.error(place, remark)

    def _defaults(self, root: Mapping) -> Mapping | None:
        entry = root.entries.get("defaults")
        if not entry:
            return None
        if not isinstance(entry.node, Mapping):
            for place, remark in _misshapen(entry, DEFAULTS_EMPTY, DEFAULTS_SHAPE):
                self._report.error(place, remark)
            return None
        checked = check(entry.node, "defaults")
        for finding in checked.findings:
            tell = self._report.warn if finding.warning else self._report.error
            tell(finding.place, finding.remark)
        return usable_defaults(entry.node)

    def _bots(self, root: Mapping) -> tuple[Node, ...] | None:
        entry = root.entries.get("bots")
        if not entry:
            first = next(iter(root.entries.values()), None)
            known = properties("top")
            # ``bot:`` has been explained as what it is.
            if not any(
                key not in known and nearest(key.lower(), list(known)) == "bots"
                for key in root.entries
            ):
                self._report.error(first.key if first else root.place, NO_BOTS)
            return None
        node = entry.node
        if isinstance(node, Sequence):
            if not node.items:
                self._report.warn(entry.key, NO_BOT_YET)
            return node.items
        for place, remark in _misshapen(entry, BOTS_EMPTY, BOTS_SHAPE):
            self._report.error(place, remark)
        return None

    def _end(
        self,
        verdict: Verdict,
        config: Config | None = None,
        rejected: tuple[str, ...] = (),
        unresolved: Map[str, dict[str, Any]] | None = None,
    ) -> Loaded:
        return Loaded(
            self._shown,
            config,
            self._report.problems(),
            self._files.looked_for,
            rejected,
            verdict,
            unresolved or {},
            self._language,
            self._environment,
            self._top,
            self._clients,
            self._files.fingerprint,
        )


def _hollow(root: Node) -> bool:
    return isinstance(root, Scalar) and root.value is None and not root.tag


def _misshapen(entry: Entry, empty: Remark, shape: Remark) -> list[tuple[Place, Remark]]:
    """Why the value of ``bots`` or ``defaults`` is none."""
    node = entry.node
    if isinstance(node, Scalar):
        if node.fault:
            return [(node.place, node.fault)]
        if node.value is None:
            return [(entry.key, empty)]
    return slips_in(node) or [(node.place, shape)]


# -- the sentences
EMPTY = Remark(
    "文件是空的（可能正在保存）；请在里面写上 bots。",
    "The file is empty (perhaps it is being saved); write your bots into it.",
)
ONLY_COMMENTS = Remark(
    "文件里只有注释，还没有机器人；请填好，去掉那几行开头的“# ”，然后保存。",
    "There are only comments in this file and no bot yet: fill it in, remove the '# ' at the "
    "beginning of those lines, and save.",
)
NO_FOLDER = Remark(
    "配置文件夹还不存在；请把它建好（在容器里运行时：挂载进来），里面放一个 bots.yaml。",
    "The configuration folder does not exist; create it (or, in a container, mount it) and put a "
    "bots.yaml there.",
)
NO_ROOT = Remark(
    "文件最外层应该是“bots:”，下面列出机器人。",
    "The file must begin with 'bots:', with the bots listed below it.",
    "bots:",
)
NO_BOTS = Remark(
    "文件里没有 bots；请写“bots:”，下面列出机器人（一个都没有就写 bots: []）。",
    "There is no 'bots' in this file; write 'bots:' and list the bots below it (none: bots: []).",
    "bots: []",
)
BOTS_EMPTY = Remark(
    "“bots” 后面是空的；一个机器人都不要就写 bots: []。",
    "There is nothing after 'bots'; if you want no bot at all, write bots: [].",
    "bots: []",
)
BOTS_SHAPE = Remark(
    "“bots” 要写成列表：每个机器人以“- name: …”开头。",
    "'bots' must be a list: each bot begins with '- name: …'.",
    "- name: …",
)
DEFAULTS_EMPTY = Remark(
    "“defaults” 后面是空的；不需要就删掉这一行。",
    "There is nothing after 'defaults'; delete the line if you do not need it.",
)
DEFAULTS_SHAPE = Remark(
    "“defaults” 下面要写一组“名称: 值”。",
    "'defaults' must be a mapping of settings.",
    "defaults: {max_workers: 4}",
)
NO_BOT_YET = Remark(
    "bots 是空的，现在没有机器人在运行；加一个“- name: …”就会启动。",
    "'bots' is empty, so no bot runs; add one that begins with '- name: …'.",
    "- name: …",
)


def ignored(name: str, taken: str) -> Remark:
    return Remark(
        f"{name} 被忽略了：配置文件夹里有 {taken}，以它为准。不需要 {name} 就删掉它。",
        f"{name} is ignored because there is a {taken}, which counts. Delete {name} if you do not "
        "need it.",
    )


def no_such_file(name: str) -> Remark:
    return Remark(f"找不到文件 {name}。", f"There is no file {name}.")


def no_file(name: str) -> Remark:
    return Remark(
        f"配置文件夹里还没有 {name}；把它放进去，dod 运行时几秒内就会生效。",
        f"There is no {name} in the configuration folder yet; put one there, and a running dod "
        "takes it within seconds.",
    )
