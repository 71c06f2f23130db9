"""Keys that the schema does not know: what was meant, or where they belong."""

import functools
import re

from dod.config.problems import nearest, shorten
from dod.config.schema import Kind, properties
from dod.config.slips import on_line
from dod.config.source import Place, Remark
from dod.config.widesigns import in_word

# What the two consoles and their documentation call these things.
_ELSEWHERE = {
    "appkey": "dingtalk_app_client_id",
    "appsecret": "dingtalk_app_client_secret",
    "clientid": "dingtalk_app_client_id",
    "clientsecret": "dingtalk_app_client_secret",
    "apikey": "dify_app_api_key",
    "baseurl": "dify_api_url",
    "apptype": "dify_app_type",
    "templateid": "dingtalk_ai_card_template_id",
    "timeout": "dify_timeout_seconds",
    "名称": "name",
    "名字": "name",
}


def meant_by(key: str, known: list[str]) -> str:
    """The key of ``known`` that was probably meant by ``key``, or nothing."""
    bare = re.split("[:：]", key.strip("“”‘’＂\"' "))[0]
    if found := in_word(bare):
        bare = found[2].strip()
    return _meant(bare.strip().lower(), tuple(known))


@functools.lru_cache(maxsize=1024)
def _meant(word: str, known: tuple[str, ...]) -> str:
    if word in known:
        return word
    elsewhere = _ELSEWHERE.get(re.sub("[-_ ]", "", word), "")
    if elsewhere in known:
        return elsewhere
    ends = [it for it in known if "_" in word and it.endswith("_" + word.replace("-", "_"))]
    return nearest(word, list(known)) or (ends[0] if len(ends) == 1 else "")


def unknown_key(key: str, place: Place, known: list[str], kind: Kind) -> tuple[Place, Remark]:
    """Where to point, and what to say, of ``key``, which stands at ``place``."""
    if slip := on_line(place.source.lines, place.line):
        return place.source.at(slip.line, slip.column), slip.remark
    shown = shorten(key)
    elsewhere = _elsewhere(key, shown, kind)
    if elsewhere:
        return place, elsewhere
    meant = meant_by(key, known)
    if found := _sign_in(key, place, meant):
        return found
    if meant:
        return place, Remark(
            f"没有 “{shown}” 这个设置项。是不是想写 “{meant}”？",
            f"Unknown setting '{shown}'. Did you mean '{meant}'?",
            f"{meant}: …",
        )
    return place, Remark(f"没有 “{shown}” 这个设置项。", f"Unknown setting '{shown}'.")


def _elsewhere(key: str, shown: str, kind: Kind) -> Remark | None:
    """Where a good key belongs that stands in the wrong place."""
    cause = ""
    if kind == "defaults" and key in properties("bot"):
        zh = f"“{shown}” 每个机器人都不同，要写在各个机器人下面，不能写在 defaults 里。"
        en = f"'{shown}' differs from bot to bot; write it under each bot, not in defaults."
    elif kind == "top" and key in properties("bot"):
        zh = f"“{shown}” 要写在 bots 里的机器人下面（注意缩进），不能写在最外层。"
        en = f"'{shown}' belongs under a bot (mind the indentation), not at the top level."
        cause = "outside"
    elif kind != "top" and key in properties("top"):
        zh = f"“{shown}” 要写在文件最外层（不缩进）。"
        en = f"'{shown}' belongs at the top level of the file (no indentation)."
    else:
        return None
    return Remark(zh, en, cause=cause)


def _sign_in(key: str, place: Place, meant: str) -> tuple[Place, Remark] | None:
    """A sign that made one word of a key and its value, or of a key and something unseen."""
    name = meant or "…"
    at = place.source.at
    if match := re.match(r"([^:：]+)([:：])(.+)", key):
        where = at(place.line, place.column + match.start(2))
        fix = f"{meant or match[1]}: {match[3]}"
        if match[2] == "：":
            return where, Remark(
                "冒号是中文全角“：”；请用英文冒号加一个空格。",
                "Full-width colon; use an ASCII colon followed by a space.",
                fix,
            )
        return where, Remark("冒号后面少了一个空格。", "Missing space after ':'.", fix)
    if key[:1] in "“”‘’＂" or key[-1:] in "“”‘’＂":
        return place, Remark(
            "设置项用了中文引号；请去掉。",
            "Curly quotes around a setting; drop them.",
            f"{name}: …",
        )
    if found := in_word(key):
        offset, remark, _ = found
        where = at(place.line, place.column + offset)
        return where, Remark(remark.zh, remark.en, f"{name}: …")
    return None
