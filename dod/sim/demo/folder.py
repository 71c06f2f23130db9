"""The demo's own folder: its first ``bots.yaml``, the child's environment, who the bots are."""

import fcntl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dod.config.decoding import MAX_BYTES, decode
from dod.config.lastgood import LastGood
from dod.config.load import Loaded, load
from dod.config.masking import Mask
from dod.config.schema import key_names
from dod.config.source import Source
from dod.config.spec import BotSpec
from dod.messages import CardStyle

BOTS_YAML = """\
# dod demo 的机器人。本文件只在不存在时生成一次，之后不会再被改写，退出后保留。
# The demo's bots. Written once, when absent; never changed by the demo, and kept when it ends.
#
# 再加一个机器人：照着写一段（name 和 client id 不能重复）。演示里钉钉凭证可以随便填。
# One more bot: write one more entry (with a name and client id of its own). In the demo any
# DingTalk credentials will do.

bots:
  - name: 助手 Assistant
    dingtalk_app_client_id: ding-demo-assistant
    dingtalk_app_client_secret: demo-secret-assistant
    # chatbot（含 Agent、Chatflow）| completion | workflow
    # chatbot (agents and chatflows too) | completion | workflow
    dify_app_type: chatbot
    # 用 dod demo --dify-url 接真实的 Dify 时，取环境变量 DIFY_API_KEY；否则用模拟 Dify 的密钥。
    # With dod demo --dify-url (a real Dify) the variable DIFY_API_KEY; else a simulated key.
    dify_app_api_key: !env_var DIFY_API_KEY app-demo-assistant
    # DifyAiCardBotHandler：在 AI 卡片上边写边显示；DifyMarkdownBotHandler：写完发一条消息。
    # DifyAiCardBotHandler types on an AI card; DifyMarkdownBotHandler sends one message.
    handler: DifyAiCardBotHandler
    # 自己的卡片模板：失败时卡片标红，每个回答少一次调用，还有停止、👍、👎 三个按钮（见
    # docs/card-template.zh-CN.md）。不写就用钉钉的公共卡片，如下一个机器人。
    # A card template of one's own: it shows failures in red, saves a call per answer and has the
    # buttons stop, 👍 and 👎 (see docs/card-template.md). Without it DingTalk's public card is
    # used, as by the next bot.
    dingtalk_ai_card_template_id: demo-card.schema
    # 卡片故意做小，好让“写一篇长文”很快用完两张卡片，其余成为 .md 文件（默认 9000 字节、4 张）。
    # Small cards, so that a long answer soon fills two of them and the rest becomes a .md file
    # (by default 9000 bytes and 4 cards).
    card_max_bytes: 2400
    answer_file_after_cards: 2

  - name: 制度问答 Handbook
    dingtalk_app_client_id: ding-demo-handbook
    dingtalk_app_client_secret: demo-secret-handbook
    dify_app_type: workflow
    dify_app_api_key: !env_var DIFY_API_KEY app-demo-handbook
    handler: DifyAiCardBotHandler
"""

_MOST = 1 << 16  # characters of the file that are shown

# What the person's own shell says about a real dod must not reach the simulated world.
_OURS = ("DOD_", "DINGTALK_", "DIFY_")
_WELCOME = {"DOD_LANG", "DOD_POLL_SECONDS", "DOD_DRAIN_SECONDS", "DOD_ON_BAD_CONFIG"}


@dataclass(frozen=True)
class DemoBot:
    """What the simulated neighbours must know of a bot in ``bots.yaml``."""

    name: str
    client_id: str
    client_secret: str = field(repr=False)
    app_type: str
    api_key: str = field(repr=False)
    card: CardStyle


@dataclass(frozen=True)
class Folder:
    """``config`` and ``data`` below the demo's folder; ``make`` is safe to call again."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def file(self) -> Path:
        """The file that dod takes: the original's name only when ours is absent."""
        old = self.config / ".bots.yaml"
        new = self.config / "bots.yaml"
        return old if old.exists() and not new.exists() else new

    def make(self) -> bool:
        """Create what is absent; True if ``bots.yaml`` was written. Raises OSError."""
        self.config.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(parents=True, exist_ok=True)
        if self.file.exists():
            return False
        with self.file.open("x", encoding="utf-8") as file:
            file.write(BOTS_YAML)
        return True

    def signature(self) -> tuple[tuple[str, int, int], ...]:
        """Changes when a file of the configuration is saved."""
        stats = []
        for path in sorted(self.config.rglob("*")):
            try:
                stat = path.stat()
            except OSError:  # saved by rename just now: it differs at the next look
                continue
            stats.append((str(path), stat.st_mtime_ns, stat.st_size))
        return tuple(stats)

    def holder(self) -> str:
        """Which dod runs on this folder already, as it calls itself; empty if none does."""
        try:
            with (self.data / ".lock").open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read(200).decode(errors="replace").strip() or "?"
        except OSError:  # nobody was ever here
            pass
        return ""

    def shown(self, loaded: Loaded) -> dict[str, Any]:
        """The file as the page may show it: no secret is in it, and long lines are cut.

        ``marks``: where the file's problems are, with their source lines, which dod's own status
        leaves out; ``caret`` counts characters.
        """
        try:
            with self.file.open("rb") as file:
                text = decode(file.read(MAX_BYTES))[0][:_MOST]
        except OSError:  # missing, or a folder of that name: the verdict says so
            text = ""
        source = Source(self.file.name, text)
        mask = Mask(*key_names())
        mask.harvest(source)
        numbers = range(1, len(source.lines) + 1)
        return {
            "file": str(self.file),
            "lines": [mask.line(source.at(number, 1))[0] for number in numbers],
            "marks": [
                {
                    "file": one.file,
                    "line": one.line,
                    "column": one.column,
                    "source": one.source_line,
                    "caret": one.caret,
                }
                for one in loaded.problems
            ],
        }

    def load(self, environ: Mapping[str, str]) -> Loaded:
        return load(self.config, environ)

    def bots(
        self, environ: Mapping[str, str], loaded: Loaded | None = None
    ) -> tuple[list[DemoBot], str | None]:
        """What dod runs with this folder, and the status page's password.

        Those are the valid bots, and the last good versions of those that are wrong now. The
        password is None for a file of which nothing can be used.
        """
        loaded = loaded or self.load(environ)
        specs = list(loaded.config.bots) if loaded.config else []
        taken = {spec.dingtalk_app_client_id for spec in specs}
        kept = self._kept(loaded, environ)
        specs += [spec for spec in kept if spec.dingtalk_app_client_id not in taken]
        found = [
            DemoBot(
                spec.name,
                spec.dingtalk_app_client_id,
                spec.dingtalk_app_client_secret,
                spec.dify_app_type,
                spec.dify_app_api_key,
                spec.card_style,
            )
            for spec in specs
        ]
        return found, loaded.config.web.password if loaded.config else None

    def _kept(self, loaded: Loaded, environ: Mapping[str, str]) -> tuple[BotSpec, ...]:
        if loaded.config and not loaded.rejected:
            return ()
        last_good = LastGood(self.data / "last-good")
        config = last_good.revive(last_good.meant(loaded), self.config, environ).config
        return config.bots if config else ()


def child_environ(
    environ: Mapping[str, str],
    folder: Folder,
    *,
    dingtalk_url: str,
    dify_url: str,
    dify_key: str,
    web_port: int,
) -> dict[str, str]:
    """The environment of ``dod run``; ``dify_key`` is empty for the simulated Dify."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(_OURS) or name in _WELCOME
    }
    ours = {
        "DOD_CONFIG_DIR": str(folder.config),
        "DOD_DATA_DIR": str(folder.data),
        "DOD_WEB_LISTEN": f"127.0.0.1:{web_port}",
        "DINGTALK_OPENAPI_ENDPOINT": dingtalk_url,
        "DINGTALK_OAPI_ENDPOINT": dingtalk_url,
        "DIFY_OPEN_API_URL": dify_url,
        "PYTHONUNBUFFERED": "1",
    }
    for name in ("NO_PROXY", "no_proxy"):  # either may be the one that counts
        ours[name] = ",".join(filter(None, (environ.get(name, ""), "127.0.0.1,localhost")))
    if dify_key:
        ours["DIFY_API_KEY"] = dify_key
    return kept | ours
