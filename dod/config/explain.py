"""``dod check --explain KEY``: what a key is for, what may stand there, and how it is written."""

import json
from dataclasses import dataclass
from typing import Any

from dod.config.editorschema import written
from dod.config.problems import nearest
from dod.config.schema import Json, deref, properties, schema, walk

_TYPES = {
    "string": ("文字", "text"),
    "integer": ("整数", "integer"),
    "boolean": ("true 或 false", "true or false"),
    "object": ("一组“名称: 值”", "'name: value' lines"),
    "array": ("列表", "list"),
}
_RELOADS = {
    "live": ("保存后几秒内生效，不断线", "within seconds of a save; the connection stays"),
    "reconnect": (
        "保存后用新凭证重新连接，旧连接用到新的可用为止",
        "by a new connection; the old one stays until that works",
    ),
}
_PLACES = {
    "top": ("文件最外层", "top level of the file"),
    "bot": ("每个机器人下", "under a bot"),
    "both": ("每个机器人下，或 defaults 下", "under a bot, or under defaults"),
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of ``bots.yaml``. ``path``: ``conversation.group``; ``rule``: of the schema."""

    path: str
    rule: Json
    place: str
    required: bool

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


def every_key() -> list[Key]:
    """All of them, in the order of the schema: those of a bot first."""
    required = {*schema()["$defs"]["bot"]["required"], *schema()["required"]}
    shared = properties("defaults")
    keys = []
    for path, rule in walk(schema()["$defs"]["bot"]):
        place = "both" if path[0] in shared else "bot"
        keys.append(Key(".".join(path), rule, place, path[-1] in required))
    for path, rule in walk(schema()):
        if path[0] != "defaults" or len(path) == 1:
            keys.append(Key(".".join(path), rule, "top", path[-1] in required))
    return keys


def find(word: str) -> list[Key]:
    """The keys that ``word`` names: by the whole path, else by the last name of it."""
    word = word.strip().strip(":").removeprefix("bots.").removeprefix("defaults.")
    keys = every_key()
    return [it for it in keys if it.path == word] or [it for it in keys if it.name == word]


def to_text(key: Key) -> str:
    """Several lines for a terminal, in both languages."""
    zh, en = key.rule["description"].split("\n\n")
    kind, default = _kind(key.rule), _default(key)
    place, reload = _PLACES[key.place], _RELOADS[key.rule["x-reload"]]
    lines = [
        f"{key.path}  {key.rule['title']}",
        f"  {zh}",
        f"  {en}",
        "",
        f"  类型 type     {kind[0]} · {kind[1]}",
        f"  默认 default  {default}",
        f"  位置 where    {place[0]} · {place[1]}",
        f"  生效 applied  {reload[0]} · {reload[1]}",
    ]
    for number, example in enumerate(_examples(key)):
        lines.append(f"  {'例子 example ' if not number else ' ' * 13} {example}")
    return "\n".join(lines) + "\n"


def to_json(key: Key) -> Json:
    zh, en = key.rule["description"].split("\n\n")
    return {
        "key": key.path,
        "title": key.rule["title"],
        "description": {"zh": zh, "en": en},
        "type": key.rule.get("type", "one of values"),
        "values": key.rule.get("enum") or key.rule.get("x-values") or [],
        "required": key.required,
        "default": key.rule.get("default"),
        "examples": _examples(key),
        "where": key.place,
        "reload": key.rule["x-reload"],
    }


def unknown(word: str) -> str:
    """That there is no such key, the nearest, and all there are."""
    keys = every_key()
    names = [it.path for it in keys]
    last = {it.name: it.path for it in reversed(keys)}
    meant = nearest(word.lower(), names) or last.get(nearest(word.lower(), list(last)), "")
    lines = [
        f"没有 “{_shown(word)}” 这个设置项。" + (f"是不是想问 “{meant}”？" if meant else ""),
        f"Unknown setting '{_shown(word)}'." + (f" Did you mean '{meant}'?" if meant else ""),
        "所有设置项 all settings:",
        *(f"  {name}" for name in names),
    ]
    return "\n".join(lines) + "\n"


def _shown(word: str) -> str:
    return "".join(char if char.isprintable() else "·" for char in word[:60])


def _kind(rule: Json) -> tuple[str, str]:
    if values := rule.get("enum") or rule.get("x-values"):
        listed = " | ".join(map(written, values))
        if "x-values" in rule:
            return f"{listed}（大小写均可）", "any letter case"
        return f"{listed}（其中之一）", "one of them"
    zh, en = _TYPES[rule["type"]]
    if "minimum" in rule:
        least, most = rule["minimum"], rule.get("maximum")
        zh += f"，{least} 到 {most}" if most else f"，至少 {least}"
        en += f", {least} to {most}" if most else f", at least {least}"
    if rule["type"] == "array" and deref(rule.get("items", {})).get("type") == "string":
        return f"{zh}，每项是文字", f"{en} of texts"
    return zh, en


def _default(key: Key) -> str:
    if key.required:
        return "没有，必填 · none: it is required"
    default = key.rule.get("default")
    if default in ("", {}):
        return "不写即可，见上 · leave it out; see above"
    return written(default)


def _examples(key: Key) -> list[str]:
    outer, _, name = key.path.rpartition(".")
    lines = [f"{name}: {_flow(it)}" for it in key.rule["examples"]]
    return [f"{outer}: {{{line}}}" for line in lines] if outer else lines


def _flow(value: Any) -> str:
    """A value in YAML's flow style; what needs quotes has them."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(it)}" for key, it in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and not value.startswith("!secret "):
        plain = value.replace("-", "").replace("_", "").replace(".", "").isalnum()
        return value if plain or value.startswith("http") else json.dumps(value, ensure_ascii=False)
    return written(value)
