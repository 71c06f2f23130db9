"""What an original becomes: the text of ``bots.yaml`` and ``secrets.yaml``, and what to tell."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dod.config.credentials import conceal
from dod.config.document import parse
from dod.config.emitter import emit
from dod.config.environment import READERS, Unfit
from dod.config.nodes import Mapping, Scalar
from dod.config.problems import nearest
from dod.config.schema import properties
from dod.config.secretnames import secret_name, slug_of
from dod.config.source import Remark, Source
from dod.migrate import notes
from dod.migrate.comments import Comments
from dod.migrate.original import NAME, OldBot, Original, Unreadable
from dod.migrate.variables import COUNTERPARTS

_SECRETS = ("dingtalk_app_client_secret", "dify_app_api_key")
# What the Redis fork tells every app, by ours: core/handlers.py of 2025-03.
_FORKS_INPUTS = {
    "platform": "dingtalk",
    "userName": "{sender_name}",
    "userId": "{sender_id}",
    "conversationType": "{chat_type}",
    "conversationTitle": "{chat_title}",
}
_WORDS_OF_YAML_1_1 = re.compile("(?i)y|yes|n|no|on|off|true|false|null|~")
_HEAD = f"""\
# yaml-language-server: $schema=./config.schema.json
#
# 由 dod migrate 从 dify-on-dingtalk 的 {NAME} 和 .env 生成；密钥在旁边的 secrets.yaml 里。
# 改完保存即可，几秒内生效；对不对看 bots.status.txt，或运行 dod check。
#
# Made by `dod migrate` from the {NAME} and .env of dify-on-dingtalk; the secrets are in
# secrets.yaml beside it. Edit and save: it takes effect within seconds. Whether it is right is
# told in bots.status.txt, and by `dod check`.
"""
_SECRETS_HEAD = """\
# bots.yaml 里 !secret 后面的名称和它们的值。不要发给别人，也不要放进 git。
# The values of the names after !secret in bots.yaml. Keep them to yourself, and out of git.
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """``bots``: what each spec must say, by key."""

    text: str
    secrets: str = field(repr=False)
    bots: tuple[dict[str, Any], ...] = field(repr=False)
    notes: tuple[Remark, ...]


def move(original: Original) -> Moved:
    """Compose everything; writes nothing. Raises Unreadable for a variable that cannot be right."""
    return _Move(original).run()


class _Move:
    """One move: lives for one call of ``run``."""

    def __init__(self, original: Original) -> None:
        self._original = original
        self._notes: list[Remark] = []
        self._comments = Comments(original)
        self._names: set[str] = set()
        self._shared: list[str] = []  # lines of secrets.yaml that belong to no one bot

    def run(self) -> Moved:
        defaults = list(self._defaults())
        text, secrets = [_HEAD], [_SECRETS_HEAD]
        secrets += ["\n", *self._shared] if self._shared else []
        if defaults:
            text += [
                "\n# 写一次，对每个机器人生效。 Written once, valid for every bot.\n",
                "defaults:\n",
            ]
            text += [f"  {line}\n" for line in defaults]
        bots = self._original.bots
        above = "".join(f"{line}\n" for line in self._comments.above(self._original.begin))
        text.append(f"\n{above}bots:\n" if bots else f"\n{above}bots: []\n")
        for number, bot in enumerate(bots, 1):
            lines, kept = self._bot(number, bot)
            text += ["\n" if number > 1 else "", *(f"  {line}\n" for line in lines)]
            secrets += [f"\n# {conceal(_name(bot, number))}\n", *kept]
        text += [f"  {line}\n" for line in self._comments.rest()]
        if self._comments.hidden:
            self._notes.append(notes.hidden_comments(self._comments.hidden))
        self._tell_of_the_rest()
        return Moved(
            "".join(text),
            "".join(secrets),
            tuple(self._expected(bot) for bot in bots),
            tuple(self._notes),
        )

    # -- the variables
    def _defaults(self) -> Iterator[str]:
        for name, key in COUNTERPARTS.items():
            value = self._original.variables.get(name, "")
            if not key or not value:
                continue
            if re.fullmatch("<.*>", value):
                self._notes.append(notes.unfilled(name))
                continue
            told = list(self._default(name, key, value))
            if told:
                self._notes.append(notes.became(name, f"defaults.{key}"))
            yield from told
        if self._original.keeps_in_redis:
            self._notes.append(notes.FORK)
            yield "# Redis 分支版告诉 Dify 的变量，应用里没有的可以删掉。"
            yield "# conversationType 原来是 1 和 2，现在是 single 和 group。"
            yield "# What the Redis fork tells Dify; delete what your apps do not have."
            yield "# conversationType was 1 or 2, and is single or group now."
            yield f"dify_inputs: {emit(_FORKS_INPUTS)}"

    def _default(self, name: str, key: str, value: str) -> Iterator[str]:
        if name == "DIFY_CONVERSATION_REMAIN_TIME":
            yield from self._remain(value)
            return
        try:
            read = READERS[name][1](value)
        except Unfit as exc:
            raise Unreadable(notes.unfit(name, exc)) from exc
        if read == properties("bot")[key]["default"]:
            self._notes.append(notes.as_default(name))
            return
        bots = self._original.bots
        if bots and all(key in bot.keys for bot in bots):
            self._notes.append(notes.every_bot_says(name, key))
            return
        if key == "max_workers":
            yield "# 这里一个名额同时回答 16 个问题。 Here one worker answers 16 questions at once."
        if _has_login(key, read):
            self._notes.append(notes.login(name))
            self._shared.append(f"{secret_name('', key)}: {emit(read)}\n")
            yield f"{key}: !secret {secret_name('', key)}"
            return
        yield f"{key}: {spelled(read)}"

    def _remain(self, value: str) -> Iterator[str]:
        if self._original.keeps_in_redis:  # it ignores the variable and never forgets
            self._notes.append(notes.NEVER_FORGOT)
            return
        if not re.fullmatch("[0-9]{1,7}", value):
            raise Unreadable(notes.no_minutes(value))
        if int(value) == 0:
            self._notes.append(notes.NO_MEMORY)
        yield f"conversation: {{expire_minutes: {min(max(int(value), 1), 5256000)}}}"

    def _tell_of_the_rest(self) -> None:
        level = self._original.variables.get("LOG_LEVEL", "INFO")
        if level.upper() != "INFO":
            self._notes.append(notes.log_level(level))
        if self._original.keeps_in_redis:
            self._notes.append(notes.REDIS)
        known = {*COUNTERPARTS, "APP_NAME"}
        strange = [
            name
            for name in self._original.variables
            if name not in known and not name.startswith("REDIS_")
        ]
        if strange:
            self._notes.append(notes.no_counterpart(strange))
        if self._original.unread:
            self._notes.append(notes.not_read(self._original.unread))

    # -- the bots
    def _bot(self, number: int, bot: OldBot) -> tuple[list[str], list[str]]:
        """Its lines of bots.yaml, and of secrets.yaml."""
        known = list(properties("bot"))
        slug = self._slug(bot, number)
        lines = self._comments.above(bot.line)
        kept = []
        head = "- "
        for key in sorted(bot.keys, key=known.index):
            line, value = bot.keys[key]
            lines += [f"  {it}" for it in self._comments.above(line)]
            login = _has_login(key, value)
            if login:
                self._notes.append(notes.login_of(_name(bot, number)))
            if login or key in _SECRETS:
                name = secret_name(slug, key)
                kept.append(f"{name}: {emit(value)}\n")
                shown = f"!secret {name}"
            else:
                shown = spelled(value.lower() if key == "dify_app_type" else value)
            lines.append(f"{head}{key}: {shown}{self._comments.beside(line)}")
            head = "  "
        wants = str(bot.keys["dify_app_type"][1]).lower() != "chatbot"
        if self._original.keeps_in_redis and wants and "dify_inputs" not in bot.keys:
            lines.append(
                '  dify_inputs: {query: "{text}"}  # 与 defaults 里的合并 · added to those'
            )
        for key in bot.left:
            meant = nearest(key.lower(), known)
            self._notes.append(notes.left_out(_name(bot, number), key, meant))
        return lines, kept

    def _slug(self, bot: OldBot, number: int) -> str:
        """What its secrets are called: after it, where its name can be part of a name."""
        slug = slug_of(_name(bot, number), number, self._names)
        self._names.add(slug)
        return slug

    def _expected(self, bot: OldBot) -> dict[str, Any]:
        keys = ("name", "dingtalk_app_client_id", *_SECRETS)
        return {key: bot.keys[key][1] for key in keys}


def _has_login(key: str, value: Any) -> bool:
    """Whether ``value`` is an address with somebody's name or password in it."""
    return key == "dify_api_url" and bool(re.match("[a-zA-Z]+://[^/?#]*@", str(value)))


def _name(bot: OldBot, number: int) -> str:
    return str(bot.keys["name"][1]) if "name" in bot.keys else f"#{number}"


def spelled(value: Any) -> str:
    """A value as a person would write it: quoted only where YAML would take it for another."""
    if not isinstance(value, str) or _WORDS_OF_YAML_1_1.fullmatch(value):
        return emit(value)
    root = parse(Source("", f"key: {value}\n")).root
    node = root.entries["key"].node if isinstance(root, Mapping) and "key" in root.entries else None
    same = isinstance(node, Scalar) and node.plain and node.value == value and not node.tag
    return value if same and not re.search(r"\s#|[“”‘’]", value) else emit(value)
