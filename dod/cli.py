"""The command line. Each command imports what it needs, so that ``dod check`` starts fast."""

import argparse
import io
import json
import os
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, NoReturn

import dod

_HELP = """\
Dify on DingTalk: bots that type Dify's answers onto DingTalk AI cards.

commands:
  run             serve the bots of bots.yaml until a signal
  check [FILE]    explain what is wrong with a configuration (offline)
  doctor [BOT…]   ask DingTalk and Dify what is wrong, and say what to do
  migrate FROM    move in from dify-on-dingtalk: its .bots.yaml and .env
  status          what the dod on this machine is doing
  demo            try it: DingTalk and Dify simulated, a chat page in the browser
  schema          print the JSON schema of bots.yaml, for an editor
  supervise       run it under supervisord, on a host without containers

Folders: DOD_CONFIG_DIR (./config) and DOD_DATA_DIR (./data). See README.md.
"""


# Of sysexits.h; argparse's own 2 would say "warnings only" of a check.
USAGE = 64


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: error: {message}\n")


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``dod`` and ``python -m dod``; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may know no Chinese
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _main(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # `dod check | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _main(argv: list[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    command: str | None = arguments.command
    if command == "run":
        from dod.appliance import run

        return run()
    if command == "check":
        return _check(arguments)
    if command == "doctor":
        from dod.doctor.command import run as examine

        return examine(arguments.bots, folder=_config_dir(), style=arguments.format)
    if command == "migrate":
        from dod.migrate.command import migrate

        target = Path(arguments.to) if arguments.to else _config_dir()
        return migrate(
            Path(arguments.source),
            target,
            out=sys.stdout,
            environ=os.environ,
            dry=arguments.dry_run,
        )
    if command == "supervise":
        from dod.supervise import supervise

        return supervise(os.environ)
    if command == "schema":
        from dod.config.editorschema import editor_schema_text

        sys.stdout.write(editor_schema_text())
        return 0
    if command == "status":
        return _status(as_json=arguments.json)
    if command == "demo":
        from dod.sim.demo.command import demo

        return demo(arguments)
    _parser().print_help()
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dod", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"dod {dod.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help=argparse.SUPPRESS)
    commands.add_parser("run", help="serve the bots")
    check = commands.add_parser(
        "check",
        help="explain a configuration",
        description="Explain what is wrong with a configuration, line by line. Offline: it starts "
        "nothing and asks nobody.",
        epilog="exit status: 0 fine, 1 something is wrong (rejected, wholly or in part; or no such "
        "KEY), 2 usable, with warnings or advice, 64 wrong arguments",
    )
    check.add_argument(
        "file",
        nargs="?",
        help="a bots.yaml, its folder, or - for stdin; default: the one of DOD_CONFIG_DIR",
    )
    check.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="text for people, in colour on a terminal unless NO_COLOR is set; json for tools",
    )
    check.add_argument(
        "--explain",
        metavar="KEY",
        help="check nothing, but tell what a setting is for, e.g. card_updates, conversation.group",
    )
    doctor = commands.add_parser(
        "doctor",
        help="ask both neighbours what is wrong",
        description="When a bot does not answer: asks this host, DingTalk and Dify, from the "
        "network to the card template, and says what to do. Shows nothing to anybody, and leaves "
        "a dod that runs alone. Costs up to three DingTalk API calls of the month for each bot.",
        epilog="exit status: 0 fine, 1 something failed, 2 warnings only, 64 wrong arguments or "
        "no such bot",
    )
    doctor.add_argument("bots", nargs="*", metavar="BOT", help="a name; default: all enabled ones")
    doctor.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="text for people, in colour on a terminal unless NO_COLOR is set; json for tools",
    )
    moving = commands.add_parser(
        "migrate",
        help="move in from dify-on-dingtalk",
        description="Make a bots.yaml and a secrets.yaml of what dify-on-dingtalk (v0.1 or its "
        "Redis fork) runs with. Shows what differs, and replaces no file.",
        epilog="exit status: 0 written, 1 nothing was written, 64 wrong arguments",
    )
    moving.add_argument(
        "source",
        metavar="FROM",
        help="its folder, with .bots.yaml and perhaps .env; stays as it is",
    )
    moving.add_argument("to", metavar="TO", nargs="?", help="default: DOD_CONFIG_DIR")
    moving.add_argument("--dry-run", action="store_true", help="show everything, write nothing")
    status = commands.add_parser("status", help="what the running dod is doing")
    status.add_argument("--json", action="store_true", help="the answer of /api/status as it is")
    demo = commands.add_parser("demo", help="both neighbours simulated, a chat page")
    demo.add_argument("--listen", default="127.0.0.1:8800", help="the page's address (%(default)s)")
    demo.add_argument("--dir", type=Path, default=Path("demo"), help="its folder (%(default)s)")
    demo.add_argument(
        "--dify-url",
        help="a real Dify's API address instead of the simulated one; "
        "its key comes from DIFY_API_KEY or a prompt",
    )
    commands.add_parser("schema", help="print the JSON schema")
    commands.add_parser("supervise", help="run it under supervisord")
    return parser


def _check(arguments: argparse.Namespace) -> int:
    from dod.config.check import check, explain

    style: Literal["text", "json"] = arguments.format
    if arguments.explain is not None:
        return explain(arguments.explain, out=sys.stdout, style=style)
    return check(
        arguments.file,
        os.environ,
        folder=_config_dir(),
        out=sys.stdout,
        stdin=sys.stdin.buffer,
        style=style,
    )


def _config_dir() -> Path:
    return Path(os.environ.get("DOD_CONFIG_DIR") or "config")


def _status(*, as_json: bool) -> int:
    from dod import running
    from dod.config.load import load

    loaded = load(_config_dir(), os.environ)
    url = running.url_of(loaded)
    if not url:
        sys.stderr.write("The status page is off (DOD_WEB_LISTEN is empty). 状态页已关闭。\n")
        return 1
    try:
        status = running.ask(loaded, url)
    except running.Unanswered as error:
        if error.code:
            return _refused(error.code, url)
        sys.stderr.write(f"No dod answers at {url}: {error}\n没有 dod 在 {url} 应答。\n")
        return 1
    sys.stdout.write(json.dumps(status, ensure_ascii=False, indent=1) if as_json else _told(status))
    return 0 if status["ready"] else 1


def _refused(code: int, url: str) -> int:
    if code == HTTPStatus.UNAUTHORIZED:
        sys.stderr.write(
            f"The dod at {url} wants a password, and it is not web.password of the configuration "
            f"in {_config_dir()}.\n"
            f"{url} 上的 dod 需要密码，但不是 {_config_dir()} 里配置的 web.password。\n"
        )
    else:
        sys.stderr.write(f"No dod answers at {url}: HTTP {code}\n没有 dod 在 {url} 应答。\n")
    return 1


def _told(status: dict[str, Any]) -> str:
    config = status["config"]
    ready = "ready" if status["ready"] else "not ready"
    lines = [
        f"dod {status['version']}, {ready}; {config['file'] or 'bots.yaml'}: {config['verdict']}"
    ]
    if status["store"]:
        lines.append(f"  ! {status['store']}")
    lines += [f"  ! {it['message']['zh']} {it['message']['en']}" for it in status["quota"]]
    lines += [
        f"  {problem['severity']} {problem['file']}:{problem['line']}:{problem['column']} "
        f"{problem['message']['zh']} {problem['message']['en']}"
        for problem in config["problems"]
    ]
    for bot in status["bots"]:
        turns = bot["turns"]
        lines.append(
            f"  {bot['name']}: {bot['state']}, answered {turns['answered']}, "
            f"failed {turns['failed']}, in flight {turns['in_flight']}, "
            f"waiting {turns['waiting']}, calls this month {bot['dingtalk_calls']['month']}"
            + (f"\n    ! {bot['last_error']}" if bot["last_error"] else "")
        )
    return "\n".join(lines) + "\n"
