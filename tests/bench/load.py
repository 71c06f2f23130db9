"""One load of a 50-bot file: its time and memory: ``make bench-load``.

Prints a Markdown table for docs/benchmarks.md. Each row is measured in processes of its own;
memory is what the kernel counts (resident, private), for that is what a NAS has less of.
"""

import gc
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

BOTS, RUNS, PROCESSES = 50, 40, 5
SECRETS = "".join(f"key{n}: app-QwErTyUiOpAsDfGhJk{n:04}\n" for n in range(BOTS))
FILE = "defaults: {max_workers: 4, conversation: {group: shared}}\nbots:\n" + "".join(
    f"""\
  - name: 部门 {number}
    dingtalk_app_client_id: dingabcdefgh{number:04}
    dingtalk_app_client_secret: Zx9KpQ7vR2mN4tB8wL1cY6hJ3fD5s{number:04}
    dify_app_type: chatbot
    dify_app_api_key: !secret key{number}
    handler: DifyAiCardBotHandler  # types on a card
    allow: {{users: ["*"], groups: []}}
"""
    for number in range(BOTS)
)
WRONG = FILE.replace("dify_app_type: chatbot", "dify_app_type：chatbot")  # 20 repairs, then the end


def resident() -> float:
    """Private memory of this process, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text("utf-8").splitlines()
    kilobytes = [int(it.split()[1]) for it in lines if it.startswith("Private_")]
    return sum(kilobytes) / 1024


def timed(act: Callable[[], object], runs: int = RUNS) -> float:
    """Milliseconds of the processor, median."""
    taken = []
    for _ in range(runs):
        began = time.process_time()
        act()
        taken.append((time.process_time() - began) * 1000)
    return statistics.median(taken)


def measure() -> dict[str, float]:
    """In a process of its own, which has imported nothing of dod yet."""
    from dod.config.document import parse
    from dod.config.load import load, load_text
    from dod.config.nodes import Mapping, Sequence
    from dod.config.rules import check
    from dod.config.source import Source

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bots.yaml").write_text(FILE, "utf-8")
        (folder / "secrets.yaml").write_text(SECRETS, "utf-8")
        gc.collect()
        before = resident()
        first = timed(lambda: load(folder, {}), 1)
        gc.collect()
        memory = resident() - before
        whole = timed(lambda: load(folder, {}))
        gc.collect()
        later = resident() - before
        loaded = load(folder, {})
        assert (loaded.verdict, len(loaded.accepted)) == ("accepted", BOTS)
        source = Source("bots.yaml", FILE)
        root = parse(source).root
        assert isinstance(root, Mapping)
        bots = root.entries["bots"].node
        assert isinstance(bots, Sequence)
        nodes = [node for node in bots.items if isinstance(node, Mapping)]
        return {
            "first load of a process": first,
            "a load": whole,
            "its YAML": timed(lambda: parse(source)),
            "its schema": timed(lambda: [check(node, "bot") for node in nodes]),
            "a load with 20 slips": timed(lambda: load_text(WRONG, {}, folder=folder), 3),
            "memory of the first load": memory,
            "memory after 41 loads": later,
        }


def main() -> None:
    rows: dict[str, list[float]] = {}
    for _ in range(PROCESSES):
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.load", "one"],
            capture_output=True,
            check=True,
            timeout=120,
        )
        for what, value in json.loads(done.stdout).items():
            rows.setdefault(what, []).append(value)
    print(f"{BOTS} bots, {len(FILE)} characters, Python {platform.python_version()}\n")
    print("| what | median |")
    print("|---|---|")
    for what, values in rows.items():
        print(f"| {what} | {statistics.median(values):.1f} {'MB' if 'memory' in what else 'ms'} |")


if __name__ == "__main__":
    if sys.argv[1:] == ["one"]:
        json.dump(measure(), sys.stdout)
    else:
        main()
