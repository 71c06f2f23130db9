"""The variables of an original: ``.env`` as python-dotenv reads it, and a compose file's."""

import re

from dod.config.document import parse
from dod.config.files import Files
from dod.config.nodes import Entry, Mapping, Node, Scalar, Sequence, scalars
from dod.config.source import Source

_COMPOSE = ("docker-compose.yaml", "docker-compose.yml", "compose.yaml", "compose.yml")
_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][\w.]*)\s*[=＝]\s*(?P<value>.*)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}

# The variables of v0.1 and the key of ``bots.yaml`` that says the same; None: there is none.
COUNTERPARTS: dict[str, str | None] = {
    "DIFY_OPEN_API_URL": "dify_api_url",
    "DINGTALK_AI_CARD_TEMPLATE_ID": "dingtalk_ai_card_template_id",
    "DEFAULT_MAX_WORKERS": "max_workers",
    "DIFY_CONVERSATION_REMAIN_TIME": "conversation",
    "LOG_LEVEL": None,
}


def read_variables(files: Files) -> tuple[dict[str, str], tuple[str, ...], list[str]]:
    """All that are set, what could not be read, and the files they come from."""
    values: dict[str, str] = {}
    unread: list[str] = []
    found = []
    dotenv = files.read(files.folder / ".env")
    if isinstance(dotenv, Source):
        found.append(".env")
        for number, line in enumerate(dotenv.lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.match(line)
            value = unquoted(match["value"].strip(), values) if match else None
            if match is None or value is None:
                unread.append(f".env:{number}")
            else:
                values[match["name"]] = value
    elif dotenv:
        unread.append(".env")
    for name in _COMPOSE:
        compose = files.read(files.folder / name)
        if isinstance(compose, Source):
            more, odd = _environment(compose)
            values |= more
            unread += [f"{name}: {it}" for it in odd]
            found += [name] if more else []
    return {key: it for key, it in values.items() if it}, tuple(unread), found


def unquoted(text: str, known: dict[str, str]) -> str | None:
    """A value by the rules of python-dotenv; None if its quotes do not close."""
    if text[:1] in {"'", '"'}:
        quote = text[0]
        match = re.match(rf"{quote}((?:\\.|[^{quote}\\])*){quote}\s*(#.*)?$", text)
        if not match:
            return None
        escapes = _ESCAPES if quote == '"' else {}
        inner = r"\\([\\'])" if quote == "'" else r"\\(.)"
        text = re.sub(inner, lambda it: escapes.get(it[1], it[1]), match[1])
    else:
        text = re.sub(r"(^|\s+)#.*", "", text).rstrip()
    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda it: known.get(it[1]) or it[2] or "", text)


def _environment(source: Source) -> tuple[dict[str, str], list[str]]:
    """The variables that a compose file sets, as far as they are plain text, and those not."""
    parsed = parse(source)
    services = entries_of(entries_of(parsed.root).get("services")) if parsed.sound else {}
    values: dict[str, str] = {}
    odd = []
    for service in services.values():
        entry = entries_of(service).get("environment")
        if not entry:
            continue
        if isinstance(entry.node, Sequence):
            pairs = [str(it.text).partition("=")[::2] for it in scalars(entry.node)]
        else:
            pairs = [
                (key, it.node.text)
                for key, it in entries_of(entry).items()
                if isinstance(it.node, Scalar) and it.node.value is not None
            ]
        for name, value in pairs:
            if name not in COUNTERPARTS:
                continue
            if "$" in value:
                odd.append(name)
            elif value:
                values[name] = value
    return values, odd


def entries_of(node: Node | Entry | None) -> dict[str, Entry]:
    inner = node.node if isinstance(node, Entry) else node
    return inner.entries if isinstance(inner, Mapping) else {}
