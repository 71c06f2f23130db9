"""``dod supervise``: dod under supervisord, for a host without containers and without systemd.

Only what differs from supervisord's defaults is written, into ``<data>/supervisor/``; the process
becomes supervisord, which stays in the foreground. ``supervisorctl`` finds it by that file.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dod import heap
from dod.ownfiles import write

SOCKET_MOST = 100  # bytes; the system allows 108 for the path of a unix socket
GRACE = 3.0  # seconds beyond dod's own drain before it is killed

_TEMPLATE = """\
; Written by dod supervise at each start; changes are lost.
[unix_http_server]
file={folder}/supervisor.sock
chmod=0700

[supervisord]
logfile={folder}/supervisord.log
logfile_maxbytes=1MB
logfile_backups=2
pidfile={folder}/supervisord.pid
nodaemon=true
silent=true
umask=027

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{folder}/supervisor.sock

[program:dod]
command={command}
directory={directory}
autostart=true
autorestart=unexpected
exitcodes=0,78
startsecs=3
startretries=20
stopsignal=TERM
stopwaitsecs={patience}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={logs}/dod.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=5
environment=PYTHONUNBUFFERED="1",{heap}
"""

_MISSING = """\
supervisord is not installed: pip install 'dod-appliance[host]' (in a checkout: '.[host]').
没有安装 supervisord：pip install 'dod-appliance[host]'（在源码目录里：'.[host]'）。
"""
_STARTED = """\
dod runs under supervisord, in the foreground; Ctrl+C ends both. Log: {logs}/dod.log
dod 已由 supervisord 看管，在前台运行，按 Ctrl+C 结束。日志：{logs}/dod.log
  supervisorctl -c {file} status
  supervisorctl -c {file} signal HUP dod    # 立即检查配置 look at the configuration now
"""


class _Unusable(Exception):
    """One sentence in each language on what cannot be used."""


def supervise(
    environ: Mapping[str, str],
    become: Callable[[str, list[str]], object] = os.execv,
) -> int:
    """Become supervisord; returns only if that cannot be, with the exit status."""
    if importlib.util.find_spec("supervisor") is None:
        sys.stderr.write(_MISSING)
        return 2
    try:
        file, logs = prepare(environ)
    except (OSError, _Unusable) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(_STARTED.format(file=file, logs=logs))
    sys.stdout.flush()
    become(sys.executable, [sys.executable, "-m", "supervisor.supervisord", "-c", str(file)])
    return 0


def prepare(environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Write supervisord's file; returns it and the folder of the logs. Raises OSError."""
    folder = Path(environ.get("DOD_DATA_DIR") or "data").resolve() / "supervisor"
    logs = Path(environ.get("DOD_LOG_DIR") or folder).resolve()
    for path in (folder, logs, Path.cwd()):
        _fit(path)
    if len(os.fsencode(folder / "supervisor.sock")) > SOCKET_MOST:
        raise _Unusable(f"{folder}: 路径太长，请用更短的 DOD_DATA_DIR。 The path is too long.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    text = _TEMPLATE.format(
        folder=folder,
        logs=logs,
        command=f'"{sys.executable}" -m dod run',
        directory=Path.cwd(),
        patience=round(_drain(environ) + GRACE),
        heap=f'{heap.NAME}="{environ.get(heap.NAME) or heap.TUNABLES}"',
    )
    file = folder / "supervisord.conf"
    write(file, text.replace("%", "%%").encode(), mode=0o600)
    return file, logs


def _fit(path: Path) -> None:
    """Its file knows comments and quotes, but no way to write them inside a path."""
    if any(mark in str(path) for mark in '"\n;'):
        raise _Unusable(f'{path}: 路径里不能有 " 和 ;。 No " or ; in the path, please.')


def _drain(environ: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(environ.get("DOD_DRAIN_SECONDS") or 7.0))
    except ValueError:
        return 7.0
