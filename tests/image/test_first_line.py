"""The first line of the promise, in every way a NAS runs containers: a folder with the keys of
zfanswer's project, a bot answers, a saved file changes exactly what it says."""

import os
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.image.engine import ROOT, Box, World, bots, entry

pytestmark = pytest.mark.timeout(180)

HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
THREE = ("--cap-add", "SETUID", "--cap-add", "SETGID", "--cap-add", "KILL")


def the_first_line(net: World, box: Box, config: Path, one: str, two: str, uid: int) -> None:
    """One bot answers; a second one joins by two ways of saving; a slip changes nothing."""
    file = next(path for path in (config / "bots.yaml", config / ".bots.yaml") if path.exists())
    box.connected(one)
    answer = net.ask(one, "ann", "hello")
    assert answer["state"] == "finished"
    assert "You said: hello." in answer["text"]
    began = box.status()["started_at"]

    file.write_text(bots(one, two), "utf-8")
    box.connected(one, two)
    assert "You said: you too?" in net.ask(two, "ann", "you too?")["text"]

    draft = file.with_name("draft.tmp")
    draft.write_text(bots(one, two).replace("max_workers: 1", "max_workers: 3"), "utf-8")
    draft.replace(file)
    box.until(lambda: box.status()["config"]["loads"] == 3, "the renamed file was read")
    box.until(lambda: [bot["generation"] for bot in box.status()["bots"]] == [2, 2], "taken")
    assert [bot["connections"] for bot in box.status()["bots"]] == [1, 1]

    file.write_text(bots(one, two) + "  - name: [broken\n", "utf-8")
    notice = config / "bots.status.txt"
    box.until(lambda: "没有采用" in notice.read_text("utf-8-sig"), "explained in bots.status.txt")
    line = len(bots(one, two).splitlines()) + 1
    assert f"{file.name}:{line}" in notice.read_text("utf-8-sig")
    assert notice.stat().st_uid == uid
    box.connected(one, two)
    assert net.ask(one, "ann", "still there?")["state"] == "finished"
    assert box.status()["started_at"] == began
    file.write_text(bots(one, two), "utf-8")
    box.until(lambda: box.status()["config"]["verdict"] == "accepted", "mended")
    code, took = box.stop()
    assert code == 0, box.log
    assert took < 10


def folders(share: Path, owner: int, group: int) -> tuple[Path, Path]:
    config, data = share / "config", share / "data"
    for folder in (config, data):
        folder.mkdir(mode=0o755)
        os.chown(folder, owner, group)
    return config, data


def test_with_the_originals_files_as_the_user_of_the_share(net: World, share: Path) -> None:
    """`--read-only --user 1026:100 --cap-drop ALL`, nothing writable but /data and /dev/shm."""
    net.add_bot("one1")
    net.add_bot("two1")
    config, data = folders(share, 1026, 100)
    (config / ".bots.yaml").write_text(bots("one1"), "utf-8")
    (config / ".env").write_text(
        f'LOG_LEVEL=DEBUG\nDEFAULT_MAX_WORKERS=2\nDIFY_OPEN_API_URL="{net.urls["dify"]}"\n'
        "DIFY_CONVERSATION_REMAIN_TIME=15\n"
    )
    options = net.environment()
    options = [
        word
        for flag, word in zip(options[::2], options[1::2], strict=False)
        if flag == "-e" and not word.startswith("DIFY")
        for word in ("-e", word)
    ]
    mounts = ("-v", f"{config}:/config", "-v", f"{data}:/data")
    box = net.box(*HARDENED, "--user", "1026:100", *mounts, *options)
    box.connected("one1")
    assert "conversation.expire_minutes" in box.log
    the_first_line(net, box, config, "one1", "two1", 1026)
    assert (data / "store").is_dir()
    assert (data / "store").stat().st_uid == 1026


def test_as_root_with_puid_and_three_capabilities(net: World, share: Path) -> None:
    net.add_bot("one2")
    net.add_bot("two2")
    config, data = folders(share, 1026, 100)
    (config / "bots.yaml").write_text(bots("one2"), "utf-8")
    mounts = ("-v", f"{config}:/config", "-v", f"{data}:/data")
    ids = ("-e", "PUID=1026", "-e", "PGID=100")
    box = net.box(*HARDENED, *THREE, *ids, *mounts, *net.environment())
    the_first_line(net, box, config, "one2", "two2", 1026)


def test_default_run_with_folders_that_docker_made(net: World, share: Path) -> None:
    """`docker run -v ./config:/config -v ./data:/data`, where neither folder exists yet."""
    net.add_bot("one3")
    net.add_bot("two3")
    config, data = share / "config", share / "data"
    box = net.box("-v", f"{config}:/config", "-v", f"{data}:/data", *net.environment())
    box.says("waiting for it")
    example = (config / "bots.yaml").read_text("utf-8")
    assert all(line.startswith("#") or not line for line in example.splitlines())
    for name in ("config.schema.json", ".vscode/settings.json", "bots.status.txt"):
        box.until((config / name).exists, name)
    assert "只有注释" in (config / "bots.status.txt").read_text("utf-8-sig")
    assert box.status()["config"]["verdict"] == "waiting"
    assert box.status()["ready"] is False
    (config / "bots.yaml").write_text(bots("one3"), "utf-8")
    box.connected("one3")
    assert "file_system=" in box.log
    assert (data / "store" / "cache.db").exists()
    # The first load was the example: one more than in the other ways.
    box.stop()
    box.start()
    the_first_line(net, box, config, "one3", "two3", 1000)


def test_as_compose_yaml_says(net: World, share: Path) -> None:
    """compose.yaml's own settings; only the folders, the user and the network are the test's."""
    service = YAML(typ="safe").load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["dod"]
    assert service.pop("volumes") == ["./config:/config", "data:/data"]
    assert service["read_only"] is True
    drain = float(service["environment"]["DOD_DRAIN_SECONDS"])
    assert drain + 2 < float(service["stop_grace_period"].removesuffix("s"))
    net.add_bot("one6")
    net.add_bot("two6")
    config, _ = folders(share, 1026, 100)
    (config / "bots.yaml").write_text(bots("one6"), "utf-8")
    options = ["--read-only", "--user", "1026:100", "--memory", service["mem_limit"]]
    options += ["--pids-limit", str(service["pids_limit"])]
    for flag, key in (
        ("--tmpfs", "tmpfs"),
        ("--cap-drop", "cap_drop"),
        ("--security-opt", "security_opt"),
    ):
        options += [word for value in service[key] for word in (flag, value)]
    for name, value in service["environment"].items():
        options += ["-e", f"{name}={value}"]
    mounts = ("-v", f"{config}:/config", "-v", f"{net.volume()}:/data")
    box = net.box(*options, *mounts, *net.environment())
    the_first_line(net, box, config, "one6", "two6", 1026)


def test_with_noexec_memory_and_a_named_volume(net: World, share: Path) -> None:
    net.add_bot("one4")
    net.add_bot("two4")
    config, _ = folders(share, 1026, 100)
    (config / "bots.yaml").write_text(bots("one4"), "utf-8")
    mounts = ("-v", f"{config}:/config", "-v", f"{net.volume()}:/data")
    memory = ("--tmpfs", "/run:noexec,nosuid", "--tmpfs", "/tmp:noexec,nosuid")
    box = net.box(*HARDENED, "--user", "1026:100", *memory, *mounts, *net.environment())
    the_first_line(net, box, config, "one4", "two4", 1026)


def test_the_file_may_be_read_only(net: World, share: Path) -> None:
    net.add_bot("one5")
    config, _ = folders(share, 1026, 100)
    (config / "bots.yaml").write_text("bots:\n" + entry("one5"), "utf-8")
    box = net.box("-v", f"{config}:/config:ro", *net.environment())
    box.connected("one5")
    assert net.ask("one5", "ann", "hello")["state"] == "finished"
    assert "Traceback" not in box.log
