"""What the image weighs and costs: ``python -m tests.image.report`` (``make image-report``).

Layers as a registry keeps them (gzip), memory of the whole container as its cgroup counts it,
start to ready as the person at the NAS waits for it. Numbers of the machine it runs on.
"""

import json
import os
import platform
import subprocess
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.image.engine import Box, World, bots, build, client, docker, world

SETTLE = 60.0  # seconds of idleness before memory is read


class Layer(NamedTuple):
    made_by: str
    packed: int  # bytes, gzip -6
    unpacked: int


def layers(image: str) -> list[Layer]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.tar"
        docker("save", "-o", str(file), image, timeout=300)
        with tarfile.open(file) as saved:
            return list(_layers(saved))


def _layers(saved: tarfile.TarFile) -> Iterator[Layer]:
    manifest = json.loads(_read(saved, "manifest.json"))[0]
    history = json.loads(_read(saved, manifest["Config"]))["history"]
    steps = [it for it in history if not it.get("empty_layer")]
    for name, step in zip(manifest["Layers"], steps, strict=True):
        data = _read(saved, name)
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        packed = len(packer.compress(data)) + len(packer.flush())
        yield Layer(step.get("created_by") or step.get("comment", ""), packed, len(data))


def _read(saved: tarfile.TarFile, name: str) -> bytes:
    member = saved.extractfile(name)
    assert member is not None
    return member.read()


def _title(made_by: str) -> str:
    for words, title in (
        ("apt-get", "Python, s6, time zones (Debian)"),
        ("COPY /opt/dod", "the packages of requirements.image.lock"),
        ("COPY rootfs", "launcher"),
        ("COPY s6", "service tree"),
        ("COPY LICENSE", "licence"),
        ("COPY /src", "dod itself"),
    ):
        if words in made_by:
            return title
    return "debian:trixie-slim"


def memory(box: Box) -> tuple[float, float]:
    """MB of all processes: resident with shared pages shared out, and what is theirs alone.

    Read outside, where root may: inside not even root may look into another user's process.
    """
    shares = alone = 0
    for pid in docker("top", box.name, "-o", "pid").split()[1:]:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        rows = [line.split() for line in text.splitlines()[1:]]
        shares += sum(int(row[1]) for row in rows if row[0] == "Pss:")
        alone += sum(int(row[1]) for row in rows if row[0] in {"Private_Dirty:", "Private_Clean:"})
    return shares * 1024 / 1e6, alone * 1024 / 1e6


def start_to_ready(net: World, config: Path, name: str) -> float:
    """Seconds from ``docker start`` to the supervisor's word that dod is ready."""
    box = Box(net.image, "--network", net.network, "-v", f"{config}:/config", *net.environment())
    began = time.monotonic()
    box.start()
    while box.exec("/etc/s6/healthcheck", check=False):
        assert time.monotonic() - began < 60, box.log
    took = time.monotonic() - began
    assert name in box.states()
    box.remove()
    return took


def health_cpu(box: Box) -> float:
    """Milliseconds of CPU of one health check, of fifty."""
    script = "for i in $(seq 50); do /etc/s6/healthcheck; done; times"
    user, system = box.exec("sh", "-c", script).splitlines()[-1].split()
    seconds = sum(
        int(it.split("m")[0]) * 60 + float(it.split("m")[1][:-1]) for it in (user, system)
    )
    return seconds * 1000 / 50


def _bots_folder(folder: Path, net: World, count: int) -> tuple[Path, list[str]]:
    names = [f"r{count}n{n}" for n in range(count)]
    for name in names:
        net.add_bot(name)
    folder.mkdir(mode=0o755)
    (folder / "bots.yaml").write_text(bots(*names), "utf-8")
    return folder, names


def main() -> None:
    client()
    tag = os.environ.get("DOD_TEST_IMAGE", "")
    if not tag:
        tag = "dod:tests"
        build(tag)
    found = layers(tag)
    print(f"Machine: {platform.machine()}, {os.cpu_count()} cores, {_engine()}\n")
    print("| layer | to pull (gzip) | unpacked |\n|---|---|---|")
    for it in found:
        print(f"| {_title(it.made_by)} | {it.packed / 1e6:.2f} MB | {it.unpacked / 1e6:.2f} MB |")
    packed, unpacked = sum(it.packed for it in found), sum(it.unpacked for it in found)
    print(f"| **all** | **{packed / 1e6:.1f} MB** | **{unpacked / 1e6:.1f} MB** |\n")
    with tempfile.TemporaryDirectory() as name, world(tag) as net:
        base = Path(name)
        base.chmod(0o755)
        _measure(net, base)


def _measure(net: World, base: Path) -> None:
    print("| the whole container | value |\n|---|---|")
    boxes = {}
    for count in (1, 50):
        config, names = _bots_folder(base / str(count), net, count)
        if count == 1:
            times = sorted(start_to_ready(net, config, names[0]) for _ in range(5))
            print(f"| start → ready, 1 bot, median of 5 | {times[2]:.2f} s |")
        boxes[count] = net.box("-v", f"{config}:/config", *net.environment())
        boxes[count].connected(*names, seconds=60)
    time.sleep(SETTLE)
    for count, box in boxes.items():
        shares, alone = memory(box)
        told = f"{shares:.1f} MB (PSS), {alone:.1f} MB of them private"
        bots_word = "bot" if count == 1 else "bots"
        print(f"| memory, {count} {bots_word}, {SETTLE:.0f} s idle (plain ws) | {told} |")
    print(f"| CPU of one health check | {health_cpu(boxes[1]):.1f} ms |")


def _engine() -> str:
    version = docker("version", "--format", "{{.Server.Version}}")
    kernel = subprocess.run(["uname", "-r"], capture_output=True, encoding="utf-8", check=True)
    return f"Linux {kernel.stdout.strip()}, Docker Engine {version}"


if __name__ == "__main__":
    main()
