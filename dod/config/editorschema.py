"""The schema as an editor needs it: that of ``config.schema.json``, told what a tag stands for.

An editor does not resolve tags: of ``!secret it_key`` it sees the word ``it_key``, of ``!env_var N
4`` the text ``N 4``, and of ``!include bots.d/it.yaml`` the path, each where a key, a number or a
bot is wanted. Here such a text is right where a tag may write it, and everything else is as wrong
as it was. The keywords beyond JSON Schema are those of yaml-language-server, which is what VS Code
and others run.
"""

import json
from typing import Any

from dod.config.schema import Json, schema

# What a tag leaves of itself. A word in capitals or with an underscore is no slip of ``true`` or 4.
_VARIABLE = r"^([A-Z][A-Z0-9_]*|\w*_\w*)( .*)?$"
_NAME = r"^[A-Za-z_][\w-]*( .*)?$"
_FILE = r"\.ya?ml$"

_TWO_WORDS = {
    "integer": "要写整数，不加引号。 An integer, without quotes.",
    "boolean": "只能写 true 或 false，不加引号。 true or false, without quotes.",
    "object": "下面要缩进写一组“名称: 值”。 Must be a group of indented 'name: value' lines.",
    "array": "要写成列表，每项以“- ”开头。 Must be a list; each item begins with '- '.",
}
_A_BOT = "每个机器人以“- name: …”开头。 Each bot begins with '- name: …'."

NEW_BOT: Json = {
    "label": "新机器人 · a new bot",
    "description": "一个机器人的五个必填项。\n\nThe five settings that every bot needs.",
    "sortText": " ",  # before the keys
    "type": "array",  # so that the dash comes along
    "body": {
        "name": "${1:it}",
        "dingtalk_app_client_id": "${2:<your-client-id>}",
        "dingtalk_app_client_secret": "${3:<your-client-secret>}",
        "dify_app_type": "${4|chatbot,completion,workflow|}",
        "dify_app_api_key": "${5:<your-dify-key>}",
    },
}


def editor_schema() -> Json:
    """A new schema on each call; also a valid one of the draft that it names."""
    whole = schema()
    definitions = {key: _tolerant(value) for key, value in whole["$defs"].items()}
    definitions["bot"]["patternErrorMessage"] = _A_BOT
    properties = {key: _tolerant(value) for key, value in whole["properties"].items()}
    properties["bots"]["defaultSnippets"] = [NEW_BOT]
    return {**whole, "properties": properties, "$defs": definitions}


def editor_schema_text() -> str:
    """What lies in the configuration folder, and what ``dod schema`` prints."""
    return json.dumps(editor_schema(), ensure_ascii=False, indent=2) + "\n"


def _tolerant(rule: Json) -> Json:
    if "$ref" in rule:
        return dict(rule)
    kind = rule.get("type", "")  # none: one of several values of different types
    new = {**rule, "markdownDescription": _explained(rule)}
    for name in ("properties", "patternProperties"):
        if name in rule:
            new[name] = {key: _below(value) for key, value in rule[name].items()}
    if kind in {"object", "array"}:
        new |= _either(kind, _FILE)
    elif kind in {"integer", "boolean"}:
        new |= _either(kind, _VARIABLE)
    elif "enum" in rule:
        # Only where the text is no variable do the values count; the editor proposes them still.
        new["if"] = {"type": "string", "pattern": _VARIABLE}
        new["else"] = {"enum": new.pop("enum")}
        new.pop("examples")
        new["defaultSnippets"] = [{"label": written(it), "bodyText": it} for it in rule["enum"]]
    elif "pattern" in rule:
        text = _NAME if new.pop("format", None) else _VARIABLE
        new["pattern"] = f"{rule['pattern']}|{text}"
        new["patternErrorMessage"] = _hint(rule)
    if rule.get("writeOnly"):
        new.pop("examples")  # an editor would insert "!secret name" in quotes: no tag
    return new


def _below(rule: Json) -> Json:
    """Rules without a title are those of free text: nothing to say, nothing to tolerate."""
    return _tolerant(rule) if "title" in rule or "$ref" in rule else dict(rule)


def _either(kind: str, pattern: str) -> Json:
    return {
        "type": [kind, "string"],
        "pattern": pattern,
        "patternErrorMessage": _TWO_WORDS[kind],
    }


def _hint(rule: Json) -> str:
    if values := rule.get("x-values"):
        return f"只能是 {'、'.join(values)}。 Must be one of {', '.join(values)}."
    hint = rule["x-hint"]
    return f"{hint['zh']}。 It {hint['en']}."


def _explained(rule: Json) -> str:
    """What is shown beside the key: both languages, and the default, which no editor adds."""
    text: str = rule["description"]
    if rule.get("default") in (None, {}, ""):
        return text
    return f"{text}\n\n默认 Default: `{written(rule['default'])}`"


def written(value: Any) -> str:
    """A value as one writes it in ``bots.yaml``, in one line."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
