"""The admin: one bots.yaml and one secrets.yaml, saved well and badly. Thread: main."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from tests.storm.cast import Bot, Cast, secret_for
from tests.storm.journal import Journal
from tests.storm.plan import Event

_TAG = re.compile(r'"(!secret [^"]+)"')
BAD: tuple[dict[str, object], ...] = (
    {"max_worker": 3},
    {"max_workers": 0},
    {"dify_app_type": "agent"},
    {"handler": "DifyCardHandler"},
    {"dify_app_api_key": "<your-key>"},
    {"dingtalk_app_client_secret": "!secret nobody-knows-it"},
)
UNPARSABLE = ("bots: [\n", "bots:\n\t- name: x\n", "{", "bots: *nowhere\n")


class Admin:
    """``rotate`` tells DingTalk of a new secret; ``later(seconds, work)`` mends a save."""

    def __init__(
        self,
        folder: Path,
        cast: Cast,
        journal: Journal,
        *,
        rotate: Callable[[str, str], None],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._folder = folder
        self._cast = cast
        self._journal = journal
        self._rotate = rotate
        self._later = later
        self._wrong: dict[str, str] = {}  # secrets that stand in the file and are not right
        self._versions = 0

    # -- writing

    def save_secrets(self) -> None:
        lines = [
            f"{name}: {self._wrong.get(name, secret)}"
            for bot in self._cast.bots
            for name, secret in bot.secrets.items()
        ]
        lines += [f"{key[:8]}: {key}" for bot in self._cast.bots for key in bot.dify_keys]
        self._replace("secrets.yaml", "\n".join(lines) + "\n")

    def save(self, *, bad: dict[str, dict[str, object]] | None = None) -> None:
        self._replace("bots.yaml", self.text(bad=bad))

    def text(self, *, bad: dict[str, dict[str, object]] | None = None) -> str:
        """bots.yaml as it is meant to be; ``bad``: by name, what is wrong with it."""
        entries = [
            bot.entry(**(bad or {}).get(bot.name, {})) for bot in self._cast.bots if bot.listed
        ]
        config = {"dingtalk_monthly_calls": 0, "bots": entries}
        return _TAG.sub(r"\1", json.dumps(config, ensure_ascii=False, indent=1))

    def _replace(self, name: str, text: str) -> None:
        """Save as editors do: a new file over the old one."""
        beside = self._folder / f".{name}.new"
        beside.write_text(text, "utf-8")
        beside.replace(self._folder / name)

    def _write(self, text: str) -> None:
        """Save as a share does: into the file itself."""
        (self._folder / "bots.yaml").write_text(text, "utf-8")

    def mend(self) -> None:
        """Everything as it was at the start, with the newest secrets."""
        self._wrong.clear()
        for bot in self._cast.bots:
            bot.listed = True
            bot.name = f"bot{bot.number:02d}"
            bot.client_id, bot.dify_key = bot.client_ids[0], bot.dify_keys[0]
        self.save_secrets()
        self.save()

    # -- what happens to the file

    def act(self, event: Event) -> None:
        """Make one of the faults whose name begins with ``file:``."""
        bot = self._cast.bots[event.bot]
        short = min(event.seconds, 4.0)
        match event.fault.removeprefix("file: "):
            case "a setting changed":
                self._change(bot, event.pick)
            case "a bad bot":
                self.save(bad={bot.name: BAD[event.pick % len(BAD)]})
                self._later(event.seconds, self.save)
            case "does not parse":
                self._write(UNPARSABLE[event.pick % len(UNPARSABLE)])
                self._later(event.seconds, self.save)
            case "half-written":
                text = self.text()
                self._write(text[: event.pick % len(text)])
                self._later(min(event.seconds, 1.5), lambda: self._write(self.text()))
            case "empty for a moment":
                self._write("")
                self._later(short, self.save)
            case "bot removed and back":
                bot.listed = False
                self.save()
                self._later(event.seconds, lambda: self._back(bot))
            case "bot renamed":
                bot.name = f"bot{bot.number:02d}-{event.pick % 100}"
                self.save()
            case "secret renewed":
                self._renew(bot)
            case "wrong secret":
                self._wrong[bot.client_id] = f"not-right-{event.pick:07d}"
                self._cast.made.add(self._wrong[bot.client_id])
                self.save_secrets()
                client_id = bot.client_id
                self._later(event.seconds, lambda: self._right(client_id))
            case "another DingTalk app":
                one, other = bot.client_ids
                bot.client_id = other if bot.client_id == one else one
                self.save()
            case "another Dify app":
                one, other = bot.dify_keys
                bot.dify_key = other if bot.dify_key == one else one
                self.save()
            case "saved unchanged":
                self._write(self.text() + "\n" * (event.pick % 3))
        self._journal.made(event.fault, bot=bot.name, seconds=event.seconds, pick=event.pick)

    def _change(self, bot: Bot, pick: int) -> None:
        match pick % 4:
            case 0:
                bot.keys["max_workers"] = 1 + pick % 5
            case 1 if "handler" not in bot.keys:
                bot.keys["card_updates"] = ("balanced", "smooth", "economical", "final")[
                    pick // 4 % 4
                ]
            case 2:
                bot.keys["dify_timeout_seconds"] = 6 + pick % 5
            case _:
                bot.keys["dify_timeout_seconds"] = 300 + pick % 100
        self.save()

    def _back(self, bot: Bot) -> None:
        bot.listed = True
        self.save()

    def _right(self, client_id: str) -> None:
        self._wrong.pop(client_id, None)
        self.save_secrets()

    def _renew(self, bot: Bot) -> None:
        """The secret is reset at DingTalk; the admin writes the new one down a moment later."""
        self._versions += 1
        client_id = bot.client_id
        secret = secret_for(client_id, self._versions)
        self._cast.made.add(secret)
        bot.secrets[client_id] = secret
        self._rotate(client_id, secret)
        self._later(1.0, self.save_secrets)
