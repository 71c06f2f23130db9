"""The last good version of every bot, on our own disk: what runs when the file is wrong at start.

Each file is a small ``bots.yaml`` of one bot, after ``defaults`` and ``!include``, with ``!secret``
and ``!env_var`` as written: their values are not on this disk, and are today's. A secret that the
admin wrote into ``bots.yaml`` itself is in it: mode 0600. Thread: main.
"""

import hashlib
import logging
import re
import secrets
from collections.abc import Collection, Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dod.config.bots import Tagged
from dod.config.credentials import conceal
from dod.config.document import parse
from dod.config.emitter import document
from dod.config.load import Loaded, load_text
from dod.config.nodes import Mapping, Scalar, Sequence
from dod.config.secretsfile import RUN_SECRETS
from dod.config.source import Source
from dod.config.spec import Config, Web
from dod.ownfiles import Trouble, write

log = logging.getLogger(__name__)

TOP = "top-level.yaml"
_PREFIX = "bot-"
# A tag that no secrets.yaml resolves: a page that had a password stays closed without it.
_LEFT_OUT = Tagged("!secret the password was written into bots.yaml itself")


@dataclass(frozen=True, slots=True)
class Kept:
    """One file. ``client``: the bot's client id as written, perhaps a tag."""

    path: Path
    name: str
    client: str


class LastGood:
    """Lifecycle: as long as the program; holds no handle. ``folder`` is made when needed, 0700."""

    def __init__(self, folder: Path, *, run_secrets: Path = RUN_SECRETS) -> None:
        self._folder = folder
        self._run_secrets = run_secrets
        self._trouble = Trouble(f"last good configuration in {folder}")
        self._told: set[str] = set()

    def keep(self, loaded: Loaded) -> None:
        """Write what ``loaded`` accepted; forget the bots that it no longer lists. Never raises.

        Nothing happens for a file that may not be used at all. Only what differs is written.
        """
        if loaded.config is None:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write(self._folder / TOP, document(_top(loaded), []).encode(), mode=0o600)
            for name in loaded.accepted:
                data = document({}, [loaded.unresolved[name]]).encode()
                write(self._folder / file_name(name), data, mode=0o600)
            self._forget(loaded)
        except OSError as exc:
            self._trouble.met(exc)
        else:
            self._trouble.over()

    def meant(self, loaded: Loaded) -> frozenset[str] | None:
        """Names of the kept bots that ``loaded`` lists but cannot use; None: it lists nothing.

        An entry without a usable name, or with a new one, is the kept bot of its client id. If it
        has no client id either, it may be any bot that the file does not account for.
        """
        if loaded.config is None and not loaded.rejected:
            return None
        used = {loaded.unresolved[name]["dingtalk_app_client_id"] for name in loaded.accepted}
        free = {
            kept.name: kept.client
            for kept in self._kept()
            if kept.name not in loaded.accepted and kept.client not in used
        }
        wanted = {loaded.clients.get(label, "") for label in loaded.rejected if label not in free}
        lost = any(
            re.fullmatch("#[0-9]+", label) and label not in free and label not in loaded.clients
            for label in loaded.rejected
        )
        return frozenset(
            name
            for name, client in free.items()
            if lost or name in loaded.rejected or client in wanted
        )

    def revive(self, names: Collection[str] | None, folder: Path, environ: Map[str, str]) -> Loaded:
        """The kept bots of these names (None: all), and the top level, as a load. Never raises.

        ``folder``: the configuration's, for ``secrets.yaml`` and ``.env``. What is damaged, or no
        longer valid, is skipped with a line in the log; ``problems`` stays empty. ``config`` is
        None if nothing is kept.
        """
        top = self._load(self._folder / TOP, folder, environ)
        bots = [
            loaded
            for kept in self._kept()
            if names is None or kept.name in names
            if (loaded := self._load(kept.path, folder, environ, kept.name)) and loaded.config
        ]
        if not bots and not (top and top.config):
            return Loaded("", None, (), (), (), "waiting")
        config = top.config if top and top.config else Config()
        if top and self._closed(top):
            config = replace(config, web=Web(password=secrets.token_urlsafe(16)))
        specs = tuple(spec for loaded in bots for spec in (loaded.config or Config()).bots)
        return replace(
            top or bots[0],
            file="last-good",
            config=replace(config, bots=specs),
            problems=(),
            files=(),
            rejected=(),
            verdict="accepted",
            fingerprint="",
            unresolved={name: it for loaded in bots for name, it in loaded.unresolved.items()},
        )

    def _closed(self, top: Loaded) -> bool:
        """Whether the page had a password that is not known here."""
        lines = _read(self._folder / TOP).splitlines()
        return "web" not in top.top and any(line.startswith(b'"web":') for line in lines)

    def _load(
        self, path: Path, folder: Path, environ: Map[str, str], name: str = ""
    ) -> Loaded | None:
        """What the file holds; None if there is nothing. ``name``: of the bot that is expected."""
        data = _read(path)
        if not data:
            return None
        loaded = load_text(
            data, environ, folder=folder, name=path.name, run_secrets=self._run_secrets
        )
        wrong = next(
            (it for it in loaded.problems if it.severity == "error" and it.file == path.name), None
        )
        if wrong:
            what = f"bot={conceal(name)}" if name else "top level"
            self._tell(f"{what} last good version not usable: {wrong.zh} {wrong.en}")
        return loaded

    def _tell(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            log.warning("%s", sentence)

    def _forget(self, loaded: Loaded) -> None:
        meant = self.meant(loaded) or ()
        stays = {file_name(name) for name in (*loaded.accepted, *meant)}
        for path in self._folder.glob(f"{_PREFIX}*.yaml"):
            if path.name not in stays:
                path.unlink(missing_ok=True)

    def _kept(self) -> Iterator[Kept]:
        try:
            paths = sorted(self._folder.glob(f"{_PREFIX}*.yaml"))
        except OSError:
            return
        for path in paths:
            if kept := _identity(path):
                yield kept
            else:
                self._tell(f"last good version {path.name} is damaged, and skipped")


def file_name(name: str) -> str:
    """The file of the bot ``name``; safe on disks that know no case, and never too long."""
    safe = quote(name, safe="", errors="surrogatepass")
    if not re.fullmatch("[a-z0-9._-]{1,60}", safe):
        mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        safe = f"{safe[:60]}-{mark}"
    return f"{_PREFIX}{safe}.yaml"


def _top(loaded: Loaded) -> dict[str, Any]:
    """The accepted top-level keys; a password in clear is left out."""
    top = dict(loaded.top)
    password = top.get("web", {}).get("password")
    if password and not isinstance(password, Tagged):
        top["web"] = {**top["web"], "password": _LEFT_OUT}
    return top


def _identity(path: Path) -> Kept | None:
    """Whose file this is, without resolving anything; None for a damaged one."""
    try:
        text = _read(path).decode()
    except UnicodeDecodeError:
        return None
    root = parse(Source(path.name, text)).root
    bots = root.entries.get("bots") if isinstance(root, Mapping) else None
    items = bots.node.items if bots and isinstance(bots.node, Sequence) else ()
    if not items or not isinstance(items[0], Mapping):
        return None
    name, client = (_written(items[0], key) for key in ("name", "dingtalk_app_client_id"))
    return Kept(path, name, client) if name else None


def _written(node: Mapping, key: str) -> str:
    entry = node.entries.get(key)
    if not entry or not isinstance(entry.node, Scalar):
        return ""
    return f"{entry.node.tag} {entry.node.text}".strip()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
