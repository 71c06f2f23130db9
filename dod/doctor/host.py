"""The host's side: what dod is told, where it keeps things, which dod runs, by which proxy."""

import os
import ssl
import tempfile
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dod import proxies, reach, running
from dod.config.load import Loaded
from dod.doctor.findings import Said, Section

_MB = 2**20
LEAST = 100  # MB free; dod itself needs a few

CHECK = Said(
    "运行 dod check：它逐行说明哪里错了、改成什么。",
    "Run dod check: it says line by line what is wrong, and what to write instead.",
)
_NOBODY = Said("没有启用的机器人。", "No bot is switched on.")
_WRITE_ONE = Said(
    "在 bots.yaml 里写一个机器人；已经写了的，删掉 enabled: false。",
    "Write a bot into bots.yaml; of one that is there, delete enabled: false.",
)
_NO_ROOM = Said(
    "检查磁盘是否已满、目录的所有者和权限（容器里：PUID、PGID、挂载是否只读）。",
    "Is the disk full? Whose folder is it, and with what rights (in a container: PUID, PGID, a "
    "read-only mount)?",
)


def look_at_configuration(loaded: Loaded, section: Section) -> None:
    problems = [problem for problem in loaded.problems if not problem.advice]
    errors = [problem for problem in problems if problem.severity == "error"]
    if problems:
        first = (errors or problems)[0]
        said = Said(f"{first.place}：{first.zh}", f"{first.place}: {first.en}")
        section.tell("configuration", "failed" if errors else "warning", said, CHECK)
    elif loaded.config is None or not any(bot.enabled for bot in loaded.config.bots):
        section.tell("configuration", "warning", _NOBODY, _WRITE_ONE)
    else:
        names = ", ".join(loaded.accepted)
        section.tell("configuration", "ok", Said(names, names))


def look_at_data(folder: Path, section: Section) -> None:
    """By a nameless file that leaves no trace. The store in it is not opened."""
    try:
        if not folder.exists() and _may_be_made(folder):
            said = Said(
                f"{folder} 还不存在，dod run 会建。", f"{folder} is not there; dod run makes it."
            )
            section.tell("data", "skipped", said)
            return
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"dod doctor")
            file.flush()
        told = os.statvfs(folder)
    except OSError as error:
        section.tell(
            "data",
            "failed",
            Said(f"{folder} 写不进去。", f"Nothing can be written to {folder}."),
            _NO_ROOM,
            error.strerror or type(error).__name__,
        )
        return
    free = told.f_bavail * told.f_frsize // _MB
    said = Said(f"{folder}，可用 {free} MB", f"{folder}, {free} MB free")
    if free < LEAST:
        fix = Said("在这个磁盘上腾出空间。", "Make room on this disk.")
        section.tell("data", "warning", said, fix)
    else:
        section.tell("data", "ok", said)


def _may_be_made(folder: Path) -> bool:
    there = next((it for it in folder.absolute().parents if it.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def look_at_authorities(environ: Mapping[str, str], section: Section) -> None:
    """Only where somebody named a file of their own."""
    named = environ.get("SSL_CERT_FILE")
    if not named:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(named)
    except OSError as error:  # ssl.SSLError is one
        section.tell(
            "certificates",
            "warning",
            Said(
                f"SSL_CERT_FILE 指的 {named} 用不了，dod 改用系统自带的证书。",
                f"SSL_CERT_FILE names {named}, which cannot be used; the usual ones are.",
            ),
            Said(
                "它要能读，里面是 PEM 格式的证书（-----BEGIN CERTIFICATE-----）。",
                "It must be readable and hold certificates in PEM (-----BEGIN CERTIFICATE-----).",
            ),
            error.strerror or str(error),
        )
    else:
        section.tell("certificates", "ok", Said(named, named))


def ask_running(loaded: Loaded, section: Section) -> dict[str, Any] | None:
    """What the dod that runs here tells; None if none does. Blocks for some seconds."""
    url = running.url_of(loaded)
    if not url:
        section.skip(
            Said(
                "状态页关着（DOD_WEB_LISTEN），问不到。",
                "The status page is off (DOD_WEB_LISTEN), so nobody can be asked.",
            ),
            "dod",
        )
        return None
    try:
        status = running.ask(loaded, url)
    except running.Unanswered as error:
        _tell_unanswered(error, section)
        return None
    ready = bool(status.get("ready"))
    section.tell(
        "dod",
        "ok",
        Said(
            f"{status.get('version')}，{'就绪' if ready else '还没有就绪'}",
            f"{status.get('version')}, {'ready' if ready else 'not ready'}",
        ),
    )
    if status.get("store"):
        told = str(status["store"])
        section.tell("store", "warning", Said(told, told))
    for shortage in status.get("quota") or ():
        told = shortage.get("message", {})
        section.tell("quota", "warning", Said(str(told.get("zh", "")), str(told.get("en", ""))))
    return status


def _tell_unanswered(error: running.Unanswered, section: Section) -> None:
    if error.code == 401:
        said = Said(
            f"{error.url} 上的 dod 要的密码，不是这份配置里的 web.password。",
            f"The dod at {error.url} wants a password that is not web.password of this file.",
        )
        section.skip(said, "dod")
        return
    section.tell(
        "dod",
        "warning",
        Said(f"没有 dod 在 {error.url} 应答。", f"No dod answers at {error.url}."),
        Said(
            "机器人只在 dod run 运行时才回答：启动容器，或运行 dod run；已经在运行的，看它的日志。",
            "Bots answer only while dod run runs: start the container, or dod run; if it runs, "
            "look at its log.",
        ),
        str(error),
    )


def look_at_proxies(urls: Iterable[str], section: Section) -> None:
    """Host and port of the proxies alone: they may have passwords."""
    found = urllib.request.getproxies_environment()
    usable = proxies.proxies()
    unusable = [name for name in ("https", "http", "all") if found.get(name) and name not in usable]
    if unusable:
        names = ", ".join(f"{name.upper()}_PROXY" for name in unusable)
        section.tell(
            "proxy",
            "warning",
            Said(f"{names} 用不了，dod 不走它。", f"{names} cannot be used; dod goes without it."),
            Said(
                "写成 http://主机:端口 或 http://用户:密码@主机:端口（不支持 SOCKS）。",
                "Write http://host:port or http://user:password@host:port (SOCKS is not known).",
            ),
        )
    ways = {reach.shown(url): reach.proxy_of(url) for url in urls}
    if not any(ways.values()):
        if not unusable:
            section.tell("proxy", "ok", Said("不用代理", "none is used"))
        return
    zh = "；".join(
        f"{host} → {reach.shown(proxy) if proxy else '直连'}" for host, proxy in ways.items()
    )
    en = "; ".join(
        f"{host} → {reach.shown(proxy) if proxy else 'straight'}" for host, proxy in ways.items()
    )
    section.tell("proxy", "ok", Said(zh, en))
