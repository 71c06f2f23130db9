"""docs/dod.service under a real systemd, which is PID 1 of a container made for that."""

from pathlib import Path

import pytest

from tests.image.engine import ROOT, Box, World, bots, build

pytestmark = pytest.mark.timeout(180)

TAG = "dod:tests-systemd"
# /opt/dod/bin/dod is where the unit's comment puts it by pip; here it is the image's own dod.
HOST = """FROM {image}
RUN --mount=type=secret,id=ca \\
    set --; [ ! -f /run/secrets/ca ] || set -- -o Acquire::https::CAInfo=/run/secrets/ca; \\
    apt-get "$@" update -q; apt-get "$@" install -y -q --no-install-recommends systemd procps; \\
    useradd --system --home-dir /var/lib/dod dod; install -d -o dod -g dod /etc/dod; \\
    printf '#!/bin/sh\\nPYTHONPATH=/opt/dod/src exec /opt/dod/bin/python -m dod "$@"\\n' \\
      > /opt/dod/bin/dod; chmod 755 /opt/dod/bin/dod
"""


def host(net: World, folder: Path) -> Box:
    """A Debian with systemd, and dod installed as the unit's comment says."""
    build(TAG, HOST.format(image=net.image))
    options = ["--tmpfs", "/run", "--tmpfs", "/tmp", "-e", "container=docker"]
    options += ["--cap-add", "SYS_ADMIN", "--entrypoint", "/lib/systemd/systemd"]
    for loose in ("apparmor", "seccomp"):
        options += ["--security-opt", f"{loose}=unconfined"]
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        options += ["--cgroupns", "private", "--security-opt", "systempaths=unconfined"]
    else:  # cgroup v1: systemd wants to be told that this is meant
        line = "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
        options += ["--cgroupns", "host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]
        options += ["-e", f"SYSTEMD_PROC_CMDLINE={line}"]
    unit = ROOT / "docs/dod.service"
    options += ["-v", f"{unit}:/etc/systemd/system/dod.service:ro"]
    defaults = folder / "default"
    variables = [*net.environment()[1::2], "DOD_WEB_LISTEN=0.0.0.0:8765"]
    defaults.write_text("\n".join(variables) + "\n")
    options += ["-v", f"{defaults}:/etc/default/dod:ro"]
    box = net.box(*options, image=TAG)
    box.until(lambda: systemctl(box, "is-system-running") == "running", "systemd runs")
    return box


def systemctl(box: Box, *words: str) -> str:
    return box.exec("systemctl", *words, check=False)


def write(box: Box, *names: str) -> None:
    box.exec("sh", "-c", 'printf %s "$1" > /etc/dod/bots.yaml', "-", bots(*names), user="dod")


def test_the_unit_runs_restarts_reloads_and_stops(net: World, share: Path) -> None:
    net.add_bot("unit1")
    net.add_bot("unit2")
    box = host(net, share)
    assert box.exec("systemd-analyze", "verify", "/etc/systemd/system/dod.service") == ""
    write(box, "unit1")
    assert systemctl(box, "enable", "--now", "dod").count("multi-user.target.wants") == 1
    box.connected("unit1")
    assert net.ask("unit1", "ann", "hello")["state"] == "finished"
    pid = systemctl(box, "show", "-P", "MainPID", "dod")
    assert box.exec("stat", "-c", "%U", f"/proc/{pid}") == "dod"

    box.kill(int(pid), "KILL")
    box.until(lambda: systemctl(box, "show", "-P", "NRestarts", "dod") == "1", "started again")
    box.connected("unit1")
    assert net.ask("unit1", "ann", "and now?")["state"] == "finished"

    write(box, "unit1", "unit2")
    systemctl(box, "reload", "dod")
    box.connected("unit1", "unit2")

    net.say("unit2", "ann", "a long answer, please")
    systemctl(box, "stop", "dod")
    told = systemctl(box, "show", "-P", "Result", "-P", "ExecMainStatus", "dod").split()
    assert sorted(told) == ["0", "success"]
    assert box.exec("stat", "-c", "%U %a", "/var/lib/dod") == "dod 700"
