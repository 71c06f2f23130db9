"""``/help``: what this very bot can do, in this kind of chat, and nothing else."""

from dod.config.spec import BotSpec
from dod.messages import Abilities, ChatKind, FileKind
from dod.texts import Tongue, kind_of, say

# Which of Dify's kinds of file a person sends as which kind of message (dingtalk-protocol §3).
_AS_FILE: frozenset[FileKind] = frozenset({"document", "custom", "audio", "video"})


def guide(spec: BotSpec, abilities: Abilities | None, chat: ChatKind, tongue: Tongue) -> str:
    """The answer to ``/help``. ``abilities``: None while Dify cannot be asked."""
    lines = [say("help_ask_group" if chat == "group" else "help_ask", tongue)]
    here, elsewhere = _sendable(abilities), []
    if chat == "group":  # voice, files and videos never reach a bot there
        elsewhere = [kind for kind in here if kind != "picture"]
        here = [kind for kind in here if kind == "picture"]
    if here:
        lines.append(say("help_send", tongue, kinds=_list(here, tongue)))
    if elsewhere:
        lines.append(say("help_send_alone", tongue, kinds=_list(elsewhere, tongue)))
    commands = [f"- {say(f'help_{name}', tongue)}" for name in _commands(spec)]
    return "\n\n".join([*lines, "\n".join(commands)])


def _sendable(abilities: Abilities | None) -> list[str]:
    """DingTalk's kinds of message. A voice comes as words, so that every app can hear it."""
    rules = [it.rule for it in abilities.fields] if abilities else []
    if abilities and abilities.files:
        rules.append(abilities.files)
    kinds = frozenset[FileKind]().union(*(rule.kinds for rule in rules))
    sendable = ["audio"]
    if "image" in kinds:
        sendable.insert(0, "picture")
    if kinds & _AS_FILE:
        sendable.append("file")
    if "video" in kinds:
        sendable.append("video")
    return sendable


def _commands(spec: BotSpec) -> tuple[str, ...]:
    """Only a chat remembers; a workflow's runs cannot be rated (dify-api §5)."""
    if spec.dify_app_type == "chatbot":
        return ("new", "stop", "rate", "id", "help")
    if spec.dify_app_type == "completion":
        return ("stop", "rate", "id", "help")
    return ("stop", "id", "help")


def _list(kinds: list[str], tongue: Tongue) -> str:
    return ("、" if tongue == "zh" else ", ").join(kind_of(kind, tongue) for kind in kinds)
