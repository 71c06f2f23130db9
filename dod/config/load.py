"""Files → ``Loaded``: the accepted bots, everything that is wrong, and which files were looked at.

One code path for start, reload and ``dod check``. Never raises for anything a file may contain.
"""

import logging
import traceback
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dod import logs
from dod.config.absence import EMPTY, ONLY_COMMENTS
from dod.config.advice import Whole, advise
from dod.config.bots import config_of, read_bots, unresolved
from dod.config.candidates import NAMES, Candidates
from dod.config.decoding import CUT, GARBLED, NO_TEXT
from dod.config.document import parse
from dod.config.environment import Environment, read_dotenv, read_environment, together
from dod.config.files import Files, too_large
from dod.config.masking import Mask
from dod.config.nodes import Mapping, Node
from dod.config.outline import bots_of, complain_root, defaults_of, hollow, strays_below
from dod.config.problems import Problem, Report
from dod.config.rules import check
from dod.config.schema import key_names
from dod.config.secretsfile import RUN_SECRETS, Secrets
from dod.config.source import Remark, Source
from dod.config.spec import Config, Language
from dod.config.tags import Tags
from dod.config.unsendable import sendable

log = logging.getLogger(__name__)

Verdict = Literal["accepted", "partly", "rejected", "waiting"]


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
    return _Load(folder, [folder / name for name in NAMES], environ, run_secrets).run()


def load_file(path: Path, environ: Map[str, str], *, run_secrets: Path = RUN_SECRETS) -> Loaded:
    """Read exactly ``path``; its neighbours are ``secrets.yaml`` and ``.env``."""
    return _Load(path.parent, [path], environ, run_secrets).run()


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
    return _Load(folder, [folder / name], environ, run_secrets, given).run()


class _Load:
    """One load: lives for one call of ``run``."""

    def __init__(
        self,
        folder: Path,
        paths: list[Path],
        environ: Map[str, str],
        run_secrets: Path,
        given: dict[Path, bytes] | None = None,
    ) -> None:
        self._folder = folder
        self._environ = environ
        self._report = Report(Mask(*key_names()))
        self._files = Files(folder, self._report, given)
        self._candidates = Candidates(paths, self._files, self._report)
        self._run_secrets = run_secrets
        self._environment = Environment()
        self._language: Language = "auto"
        self._secrets: list[str] = []
        self._top: dict[str, Any] = {}
        self._clients: dict[str, str] = {}

    def run(self) -> Loaded:
        try:
            return self._run()
        except Exception:  # noqa: BLE001 the rim: no file, and no bug of ours, may end what runs
            trace = self._report.mask.text(traceback.format_exc())
            log.error("the configuration could not be examined: a bug of dod\n%s", trace)  # noqa: TRY400 a secret may stand in it
        self._report = Report(Mask(*key_names()))  # what was said so far may be the trouble
        self._report.error(Source(self._candidates.name, "").at(1, 1), OWN_BUG)
        return self._end("rejected")

    def _run(self) -> Loaded:
        source = self._candidates.read()
        dotenv = self._files.read(self._folder / ".env")
        variables = read_dotenv(dotenv, self._report) if isinstance(dotenv, Source) else {}
        if isinstance(dotenv, Remark):
            self._report.warn(Source(".env", "").at(1, 1), dotenv)
        self._environment = read_environment(self._environ, variables, self._report)
        self._language = self._environment.lang
        secrets = Secrets(self._files, self._report, self._run_secrets)
        secrets.read()
        tags = Tags(self._files, self._report, together(self._environ, variables), secrets)
        if not isinstance(source, Source):
            return self._nothing(Source(self._candidates.name, ""), source)
        parsed = parse(source)
        for place, remark in parsed.remarks:
            self._report.error(place, remark)
        if parsed.sound and (parsed.root is None or hollow(parsed.root)):
            return self._nothing(source, ONLY_COMMENTS if "#" in source.text else EMPTY)
        if parsed.root is None:
            return self._end("rejected")
        root = sendable(tags.resolve_file(parsed.root, (self._folder / self._candidates.taken,)))
        loaded = self._read(root, secrets, sound=parsed.sound)
        if loaded.config:
            logs.hide(*self._secrets, *secrets.values)
        return loaded

    def _nothing(self, source: Source, remark: Remark) -> Loaded:
        place = self._files.broken.get(source.file, source.at(1, 1))
        self._report.error(place, remark)
        unusable = remark in {GARBLED, CUT, NO_TEXT, too_large(source.file)}
        return self._end("rejected" if unusable else "waiting")

    def _read(self, root: Node, secrets: Secrets, *, sound: bool) -> Loaded:
        """The root node of a file that parses, or that could be repaired well enough to go on."""
        if not isinstance(root, Mapping):
            complain_root(root, self._report)
            return self._end("rejected")
        rest = {key: it for key, it in root.entries.items() if key not in {"bots", "defaults"}}
        top = check(Mapping(root.place, rest), "top")
        self._report.mask.learn(*top.secrets)
        self._top = {key: unresolved(it.node) for key, it in rest.items() if key not in top.bad}
        defaults = defaults_of(root, self._report)
        nodes = bots_of(root, self._report)
        strays = strays_below(nodes, top)
        for finding in top.findings:
            tell = self._report.warn if finding.warning else self._report.error
            tell(finding.place, finding.remark, strays.whose(finding))
        if nodes is None:
            return self._end("rejected")
        bots = read_bots(nodes, defaults, self._environment, self._report, strays.keys)
        self._secrets += top.secrets
        alone = tuple(node for node in nodes if isinstance(node, Mapping))
        for bot in bots:
            self._secrets += bot.secrets
        specs = tuple(bot.spec for bot in bots if bot.spec)
        advise(Whole(root, defaults, alone, specs, secrets), self._report)
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

    def _end(
        self,
        verdict: Verdict,
        config: Config | None = None,
        rejected: tuple[str, ...] = (),
        unresolved: Map[str, dict[str, Any]] | None = None,
    ) -> Loaded:
        return Loaded(
            self._candidates.taken,
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


OWN_BUG = Remark(
    "dod 检查这个文件时自己出错了（详情见日志），文件没有采用，正在运行的机器人不受影响；"
    "请撤销刚才的改动，并把日志交给 dod 的开发者。",
    "dod itself failed while it examined this file (see the log). The file is not used, and the "
    "bots that run go on. Undo the last change, and send the log to the developers of dod.",
)
