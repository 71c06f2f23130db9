"""What is in the image, what it weighs, and its commands."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.image.engine import ROOT, World, bots, client, docker, until
from tests.image.report import layers

pytestmark = pytest.mark.timeout(300)


def run(image: str, *words: str, options: tuple[str, ...] = ()) -> str:
    return docker("run", "--rm", "--network", "none", *options, image, *words, check=False)


def sh(image: str, script: str) -> str:
    return docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", script)


def test_it_is_small(image: str) -> None:
    assert sum(layer.packed for layer in layers(image)) <= 55_000_000


def test_nothing_for_building_or_testing_is_in_it(image: str) -> None:
    tools = "pip pip3 gcc cc make git curl wget pytest uv ruff mypy"
    assert sh(image, f"for it in {tools}; do command -v $it || :; done") == ""
    modules = "pip setuptools pytest mypy supervisor ensurepip"
    found = "import importlib.util as u; print([m for m in '{}'.split() if u.find_spec(m)])"
    assert sh(image, f'/opt/dod/bin/python -c "{found.format(modules)}"') == "[]"
    assert sh(image, "ls /var/lib/apt/lists /var/cache/apt /usr/share/man | grep -v : || :") == ""
    assert sh(image, "find / -xdev -name '*.yaml' -o -xdev -name '.env' | head") == ""
    # Compiled, and never compared with a source: the root may be read-only, the times wrong.
    lacking = (
        "cd /opt/dod; find . -name '*.py' | while read -r f; do d=${f%/*}; b=${f##*/};"
        ' ls "$d/__pycache__/${b%.py}."*.pyc > /dev/null 2>&1 || echo "$f"; done'
    )
    assert sh(image, lacking) == ""


def test_what_it_says_of_itself(image: str) -> None:
    found = json.loads(docker("inspect", "-f", "{{json .Config}}", image))
    assert found["Entrypoint"] == ["/etc/s6/init"]
    assert found.get("Cmd") is None
    assert found.get("Volumes") is None  # a form's bind mount would get an anonymous volume
    assert found["StopSignal"] == "SIGTERM"
    assert found["Healthcheck"]["Test"] == ["CMD", "/etc/s6/healthcheck"]
    labels = {f"org.opencontainers.image.{it}" for it in ("title", "version", "licenses")}
    assert labels <= found["Labels"].keys()
    assert sh(image, "stat -c '%a %u' /config /data") == "1777 0\n1777 0"


def test_check_explains_a_file(image: str, share: Path) -> None:
    (share / "bots.yaml").write_text(bots("it").replace("ChatBot", "robot"), "utf-8")
    (share / "bots.yaml").chmod(0o644)
    done = subprocess.run(
        [client(), "run", "--rm", "-v", f"{share}:/config:ro", image, "check"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert "bots.yaml:5:" in done.stdout
    mounted = ("-v", f"{share}:/config:ro")
    (share / "bots.yaml").write_text(bots("it"), "utf-8")
    for how in ((), ("--user", "1026:100", "--read-only"), ("--cap-drop", "ALL")):
        assert "=> " in run(image, "check", options=(*how, *mounted))
    assert '"$schema"' in run(image, "schema")
    assert "commands:" in run(image, "--help")


def test_status_works_whoever_calls_it(net: World, share: Path) -> None:
    net.add_bot("told")
    (share / "bots.yaml").write_text(bots("told"), "utf-8")
    (share / "bots.yaml").chmod(0o644)
    box = net.box("-v", f"{share}:/config:ro", *net.environment())
    box.connected("told")
    for user in ("", "0", "1000", "1026:100", "65534"):
        assert "told: connected" in box.exec("dod", "status", user=user)
    hardened = ("--user", "1026:100", "--cap-drop", "ALL", "--read-only")
    net.run("await dingtalk.cut('dingtold')")
    box.stop()
    box = net.box(*hardened, "-v", f"{share}:/config:ro", *net.environment())
    box.connected("told")
    for user in ("", "0"):
        assert "told: connected" in box.exec("dod", "status", user=user)


def test_the_demo_is_one_command(net: World) -> None:
    box = net.box(words=("demo",))
    address = box.address

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://{address}:8800/", timeout=5) as answer:
                return str(answer.read(), "utf-8")
        except OSError:
            return ""

    assert "<html" in until(page, "the demo's page")
    box.says("state=connected", 2)
    box.exec("/etc/s6/healthcheck")
    code, took = box.stop()
    assert (code, took < 10) == (0, True)


def test_the_unit_tests_pass_in_the_image(image: str, tmp_path: Path) -> None:
    """The image's Python is newer. Only the test tools are added, from the same lock."""
    tools = tmp_path / "tools"
    tools.mkdir()
    names = (
        "pytest pluggy iniconfig packaging pygments pytest-rerunfailures pytest-timeout hypothesis"
        " sortedcontainers"
    )
    blocks = (ROOT / "requirements.lock").read_text("utf-8").replace(" \\\n", " ").splitlines()
    wanted = [line for line in blocks if line.split("==")[0] in names.split()]
    (tmp_path / "lock").write_text("\n".join(wanted) + "\n")
    python = sh(image, "/opt/dod/bin/python -V").split()[1].rpartition(".")[0]
    pip = (
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
        *("--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"),
        *("--python-version", python, "--target", str(tools), "-r", str(tmp_path / "lock")),
    )
    done = subprocess.run(pip, capture_output=True, encoding="utf-8", check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [
            *(client(), "run", "--rm", "--network", "none", "--user", "1000:1000", "--read-only"),
            *("--tmpfs", "/tmp:exec,mode=1777", "-w", "/src", "-e", "PYTHONPATH=/tools:/src"),
            *("-v", f"{ROOT}:/src:ro", "-v", f"{tools}:/tools:ro", "-e", "HOME=/tmp"),
            *("-e", "PYTHONDONTWRITEBYTECODE=1", "--entrypoint", "sh", image, "-c"),
            "exec /opt/dod/bin/python -m pytest -q --reruns 2 tests/test_*.py",
        ],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    print(done.stdout.splitlines()[-1])
