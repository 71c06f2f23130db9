"""The words that ``dod demo`` begins with: what runs, where its page is, what to know of it."""

import contextlib
import socket
from urllib.parse import urlsplit

from dod.sim.demo.folder import Folder

# Addresses to listen on that are none to open, and what to open instead.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


def to_open(host: str, port: int) -> str:
    """The address to open of a page that listens there."""
    shown = _EVERYWHERE.get(host, host)
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


def greeting(folder: Folder, host: str, address: str, dify_url: str, *, made: bool) -> str:
    """``host``: where the page listens; ``made``: the bots' file is new."""
    dify = (
        (f"真实的 Dify（{dify_url}）", f"the real Dify at {dify_url}")
        if dify_url
        else ("模拟的 Dify ", "a simulated Dify")
    )
    new = ("（刚生成）", " (written just now)") if made else ("", "")
    lines = [
        f"dod 演示：真正的 dod，运行在模拟的钉钉和{dify[0]}之间；按 Ctrl+C 结束。",
        f"dod demo: the real dod between a simulated DingTalk and {dify[1]}; Ctrl+C ends it.",
        f"  机器人{new[0]} Bots{new[1]}: {folder.file}",
        f"  请用浏览器打开 Open in a browser: {address}",
    ]
    if dify_url:
        lines += [
            "  bots.yaml 里的 dify_app_type 要和该密钥所属应用的类型一致。",
            "  dify_app_type in bots.yaml must be the type of the app that the key belongs to.",
        ]
    if host in _EVERYWHERE:
        lines += _exposed(urlsplit(address).port)
    if holder := folder.holder():
        data = folder.data
        lines += [
            f"注意：另一个 dod（{holder}）正在使用 {data}，它结束之前这里不运行机器人。",
            f"Note: another dod ({holder}) holds {data}: no bots run here until it ends.",
            "  再开一个演示请用 --dir 换文件夹。 For a second demo use --dir.",
        ]
    return "\n".join(lines)


def _exposed(port: int | None) -> list[str]:
    """What to know of a page that listens on all addresses."""
    lines = ["  注意：网络里的任何人都能打开它。 Note: everybody in the network can reach it."]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which address would be used
        lines.insert(0, f"  在网络里 In the network: http://{probe.getsockname()[0]}:{port}/")
    return lines
