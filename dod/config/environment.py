"""What the process is told by variables: the real environment, then ``/config/.env``.

``.env`` is parsed into a mapping and never into ``os.environ``: a share's file must not set
``PATH`` or a proxy. Of it only the original's names and ``DINGTALK_*`` count (design §2.2).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dod.config.addresses import bad_url
from dod.config.problems import Report, nearest
from dod.config.source import Place, Remark, Source
from dod.config.spec import PUBLIC_TEMPLATE_ID, Language

ORIGINAL = (
    "LOG_LEVEL",
    "DEFAULT_MAX_WORKERS",
    "DIFY_OPEN_API_URL",
    "DIFY_CONVERSATION_REMAIN_TIME",
    "DINGTALK_AI_CARD_TEMPLATE_ID",
)
_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*(?P<sep>[=＝])\s*(?P<value>.*)")
_QUOTED = re.compile(r"""(?P<quote>["'])(?P<value>.*?)(?P=quote)\s*(#.*)?$""")


@dataclass(frozen=True, slots=True)
class Environment:
    """Every variable of design §2.2. ``web_listen`` is None when the page is switched off."""

    config_dir: Path = Path("config")
    data_dir: Path = Path("data")
    log_level: str = "INFO"
    default_max_workers: int = 2
    dify_api_url: str = "https://api.dify.ai/v1"
    card_template_id: str = PUBLIC_TEMPLATE_ID
    web_listen: tuple[str, int] | None = ("127.0.0.1", 8765)
    web_hosts: tuple[str, ...] = ()
    lang: Language = "auto"
    poll_seconds: float = 2.0
    drain_seconds: float = 7.0
    log_dir: Path | None = None
    on_bad_config: Literal["wait", "exit"] = "wait"
    openapi_endpoint: str = "https://api.dingtalk.com"
    oapi_endpoint: str = "https://oapi.dingtalk.com"


@dataclass(frozen=True, slots=True)
class Variable:
    """``place``: of its value, in ``.env`` or in a line made up for the real environment."""

    value: str = field(repr=False)
    place: Place


class Unfit(Exception):
    """A variable's value cannot be used; says why, twice."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


# -- readers: text → value, or Unfit
def _level(text: str) -> str:
    names = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    level = {"WARN": "WARNING", "FATAL": "CRITICAL", "TRACE": "DEBUG"}.get(
        text.upper(), text.upper()
    )
    if level not in names:
        raise Unfit(f"只能是 {'、'.join(names)}", f"must be one of {', '.join(names)}")
    return level


def _workers(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= 1000:
        raise Unfit("要写 1 到 1000 的整数", "must be an integer from 1 to 1000")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) or float(text) < 0.1:
        raise Unfit("要写秒数，至少 0.1", "must be a number of seconds, at least 0.1")
    return float(text)


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://\S+", text) or bad_url(text):
        raise Unfit(
            "要以 http:// 或 https:// 开头，并且是有效的网址",
            "must start with http:// or https:// and be a valid address",
        )
    return text.rstrip("/")


def _listen(text: str) -> tuple[str, int] | None:
    if text.lower() in {"", "off", "none"}:
        return None
    match = re.fullmatch(r"(?:(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]*):)?(?P<port>[0-9]{1,5})", text)
    if not match or int(match["port"]) > 65535:
        raise Unfit("要写成 地址:端口，例如 0.0.0.0:8765", "must be host:port, e.g. 0.0.0.0:8765")
    host = match["host"]
    # ``:8765`` is everywhere as with other programs; a bare port is our own default address.
    return ("127.0.0.1" if host is None else host.strip("[]") or "0.0.0.0"), int(match["port"])  # noqa: S104 - as the admin wrote


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(host.lower() for host in re.split(r"[,;\s]+", text) if host))


def _choice(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in names:
            raise Unfit(f"只能是 {'、'.join(names)}", f"must be one of {', '.join(names)}")
        return text.lower()

    return read


def _word(text: str) -> str:
    if re.search(r"\s", text):
        raise Unfit("中间不能有空格", "must not contain spaces")
    return text


# By variable: its field, and how its text is read.
READERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "DOD_CONFIG_DIR": ("config_dir", Path),
    "DOD_DATA_DIR": ("data_dir", Path),
    "LOG_LEVEL": ("log_level", _level),
    "DEFAULT_MAX_WORKERS": ("default_max_workers", _workers),
    "DIFY_OPEN_API_URL": ("dify_api_url", _url),
    "DINGTALK_AI_CARD_TEMPLATE_ID": ("card_template_id", _word),
    "DOD_WEB_LISTEN": ("web_listen", _listen),
    "DOD_WEB_HOSTS": ("web_hosts", _hosts),
    "DOD_LANG": ("lang", _choice("auto", "zh", "en")),
    "DOD_POLL_SECONDS": ("poll_seconds", _seconds),
    "DOD_DRAIN_SECONDS": ("drain_seconds", _seconds),
    "DOD_LOG_DIR": ("log_dir", Path),
    "DOD_ON_BAD_CONFIG": ("on_bad_config", _choice("wait", "exit")),
    "DINGTALK_OPENAPI_ENDPOINT": ("openapi_endpoint", _url),
    "DINGTALK_OAPI_ENDPOINT": ("oapi_endpoint", _url),
}


def read_dotenv(source: Source, report: Report) -> dict[str, Variable]:
    """The variables of a ``.env`` that count. Lines that cannot be read are warned of."""
    found: dict[str, Variable] = {}
    for number, line in enumerate(source.lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if not match:
            report.warn(source.at(number, len(line) - len(line.lstrip()) + 1), NOT_A_LINE)
            continue
        name, value = match["name"], match["value"].strip()
        if match["sep"] == "＝":
            report.warn(source.at(number, match.start("sep") + 1), WIDE_EQUALS)
        if not (name in ORIGINAL or name.startswith("DINGTALK_")):
            if name in READERS or nearest(name, list(READERS), 0.85):
                report.warn(source.at(number, match.start("name") + 1), not_here(name))
            continue
        if quoted := _QUOTED.match(value):
            value = quoted["value"]
        else:
            value = re.sub(r"(^|\s+)#.*$", "", value)
        found[name] = Variable(value.strip(), source.at(number, match.start("value") + 1))
    return found


def together(environ: Mapping[str, str], dotenv: Mapping[str, Variable]) -> dict[str, str]:
    """All variables by value; the real environment wins, and an empty one is an unset one."""
    values = {name: variable.value for name, variable in dotenv.items()}
    return {**values, **{name: value for name, value in environ.items() if value.strip()}}


def read_environment(
    environ: Mapping[str, str], dotenv: Mapping[str, Variable], report: Report
) -> Environment:
    """Every field; a value that does not fit is warned of and its default is used."""
    fields: dict[str, Any] = {}
    for name, (key, read) in READERS.items():
        variable = _variable(name, environ, dotenv)
        if variable is None:
            continue
        if variable.value.startswith("<") and variable.value.endswith(">"):
            report.warn(variable.place, unfilled(name))
            continue
        try:
            fields[key] = read(variable.value)
        except Unfit as exc:
            report.warn(variable.place, unfit(name, exc))
    if remain := _variable("DIFY_CONVERSATION_REMAIN_TIME", environ, dotenv):
        report.warn(remain.place, NOT_USED)
    return Environment(**fields)


def _variable(
    name: str, environ: Mapping[str, str], dotenv: Mapping[str, Variable]
) -> Variable | None:
    value = environ.get(name, "").strip()
    # The one variable whose emptiness says something: no status page.
    if value or (name == "DOD_WEB_LISTEN" and name in environ):
        source = Source("environment", f"{name}={environ[name]}".replace("\n", " "))
        return Variable(value, source.at(1, len(name) + 2))
    variable = dotenv.get(name)
    return variable if variable and variable.value else None


# -- the sentences
NOT_A_LINE = Remark(
    "这一行不是 名称=值，已忽略。", "This line is not NAME=value and is ignored.", "NAME=value"
)
WIDE_EQUALS = Remark(
    "等号是中文全角“＝”，已按“=”读取；请改用英文等号。",
    "Full-width '＝', read as '='; please use an ASCII one.",
)
NOT_USED = Remark(
    "DIFY_CONVERSATION_REMAIN_TIME 已不再使用；请在 bots.yaml 的机器人下写 "
    "conversation.expire_minutes。",
    "DIFY_CONVERSATION_REMAIN_TIME is no longer used; "
    "write conversation.expire_minutes under the bot in bots.yaml.",
    "conversation: {expire_minutes: 15}",
)


def not_here(name: str) -> Remark:
    meant = nearest(name, list(ORIGINAL), 0.85)
    if meant:
        return Remark(
            f".env 里没有 {name} 这个变量。是不是想写 {meant}？",
            f"Unknown variable {name} in .env. Did you mean {meant}?",
            f"{meant}=…",
        )
    return Remark(
        f".env 里的 {name} 不起作用；请设为真正的环境变量（在容器里：容器的环境变量）。",
        f"{name} has no effect in .env; set it as a real environment variable "
        "(or, in a container, as one of the container).",
    )


def unfilled(name: str) -> Remark:
    return Remark(
        f"{name} 还没有填写（<…>），按没有设置处理。",
        f"{name} is not filled in yet (<…>); it is treated as unset.",
    )


def unfit(name: str, exc: Unfit) -> Remark:
    return Remark(
        f"{name} {exc.zh}；已改用默认值。", f"{name} {exc.en}; the default is used instead."
    )
