"""One bot out of environment variables, for the forms of app stores that have no files.

It stands in for a ``bots.yaml`` that lists no bot. Its values stay ``!env_var``, so that no copy
of them comes to lie on a disk.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dod.config.absence import EMPTY, NO_FOLDER, ONLY_COMMENTS, no_file
from dod.config.load import Loaded, load, load_text
from dod.config.outline import NO_BOT_YET
from dod.config.problems import Problem, Severity
from dod.config.source import Remark

NAME = "environment"  # what the place of its problems is called
REQUIRED = ("DINGTALK_APP_CLIENT_ID", "DINGTALK_APP_CLIENT_SECRET", "DIFY_APP_API_KEY")
VARIABLES = (*REQUIRED, "DIFY_APP_TYPE", "DOD_BOT_NAME")
# What need not be told when the variables say what the file does not.
_NOTHING_THERE = {
    remark.en for remark in (EMPTY, NO_BOT_YET, NO_FOLDER, ONLY_COMMENTS, no_file("bots.yaml"))
}

_BOT = """\
bots:
  - name: !env_var DOD_BOT_NAME bot
    dingtalk_app_client_id: !env_var DINGTALK_APP_CLIENT_ID
    dingtalk_app_client_secret: !env_var DINGTALK_APP_CLIENT_SECRET
    dify_app_type: !env_var DIFY_APP_TYPE chatbot
    dify_app_api_key: !env_var DIFY_APP_API_KEY
"""


def load_all(folder: Path, environ: Mapping[str, str]) -> Loaded:
    """``load``, and the bot of the variables where the file lists none."""
    environ, unreadable = with_files(environ)
    loaded = load(folder, environ)
    if not unreadable and not any(environ.get(name, "").strip() for name in REQUIRED):
        return loaded
    if loaded.verdict == "rejected" or loaded.accepted or loaded.rejected:
        return replace(loaded, problems=(*loaded.problems, _problem("warning", IGNORED)))
    own = load_text(_BOT, environ, folder=folder, name=NAME)
    config = own.config
    if config and loaded.config:  # a file with settings of its own, and ``bots: []``
        config = replace(loaded.config, bots=config.bots)
    kept = [problem for problem in loaded.problems if problem.en not in _NOTHING_THERE]
    lacking = [_problem("error", remark) for remark in unreadable]
    return replace(
        own,
        config=config,
        problems=tuple(dict.fromkeys((*kept, *own.problems, *lacking))),
        files=loaded.files,
        fingerprint=loaded.fingerprint,
        top=loaded.top,
    )


def with_files(environ: Mapping[str, str]) -> tuple[dict[str, str], list[Remark]]:
    """``environ`` with what stands in the file that ``…_FILE`` names, and what cannot be read."""
    values, remarks = dict(environ), list[Remark]()
    for name in VARIABLES:
        path = environ.get(f"{name}_FILE", "").strip()
        if not path or environ.get(name, "").strip():
            continue
        try:
            values[name] = Path(path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError, ValueError) as exc:
            remarks.append(not_readable(f"{name}_FILE", exc))
    return values, remarks


def _problem(severity: Severity, remark: Remark) -> Problem:
    return Problem(severity, NAME, 1, 1, "", remark.zh, remark.en)


# -- the sentences
IGNORED = Remark(
    "环境变量里的机器人（DINGTALK_APP_CLIENT_ID 等）没有采用：配置文件里已经有机器人，以文件为准。",
    "The bot of the environment variables (DINGTALK_APP_CLIENT_ID and so on) is ignored, because "
    "the configuration file lists bots.",
)


def not_readable(name: str, exc: Exception) -> Remark:
    why = exc.strerror if isinstance(exc, OSError) else type(exc).__name__
    return Remark(
        f"{name} 指的文件读不出来（{why}）。", f"The file that {name} names cannot be read ({why})."
    )
