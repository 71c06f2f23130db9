"""PID 1 and what it looks after: signals, crashes, readiness, health, logs."""

import json
import time
from pathlib import Path

import pytest

from tests.image.engine import Box, World, bots

pytestmark = pytest.mark.timeout(180)


def folder(share: Path, *names: str) -> Path:
    config = share / "config"
    config.mkdir()
    (config / "bots.yaml").write_text(bots(*names), "utf-8")
    return config


def processes(box: Box) -> dict[int, str]:
    """Pid → command line, or Z; read from /proc, as there is no ps in the image."""
    script = (
        "for p in /proc/[0-9]*; do read -r s < $p/stat 2> /dev/null || continue;"
        ' case ${s##*) } in Z*) c=Z;; *) c=$(tr "\\0" " " < $p/cmdline);; esac;'
        ' echo "${p#/proc/} $c"; done'
    )
    lines = [line.split(" ", 1) for line in box.exec("sh", "-c", script).splitlines()]
    return {int(pid): command for pid, command in lines}


def program(box: Box) -> list[int]:
    """The pids of dod itself: one, or none for a moment."""
    found = processes(box).items()
    return [pid for pid, command in found if command.startswith("/opt/dod/bin/python -m dod run")]


def test_stopping_in_mid_answer_finishes_the_card(net: World, share: Path) -> None:
    net.add_bot("stop", tokens=40, interval=0.05)
    box = net.box("-v", f"{folder(share, 'stop')}:/config", *net.environment())
    box.connected("stop")
    net.say("stop", "ann", "a long one")
    box.until(lambda: net.shown("stop", "ann") and net.shown("stop", "ann")[0]["text"], "typing")
    code, took = box.stop()
    assert (code, took < 10) == (0, True), f"{code} after {took} s\n{box.log}"
    (card,) = net.shown("stop", "ann")
    assert card["state"] == "finished"
    assert card["text"].endswith("w0039")
    assert "dod has stopped" in box.log


def test_the_doctor_looks_on_and_finds_nothing_wrong(net: World, share: Path) -> None:
    net.add_bot("well")
    box = net.box("-v", f"{folder(share, 'well')}:/config", *net.environment())
    box.connected("well")
    told = json.loads(box.exec("dod", "doctor", "--format", "json"))
    wrong = [it for part in told["sections"] for it in part["findings"] if it["outcome"] != "ok"]
    assert wrong == []
    assert "=> 没有发现问题" in box.exec("dod", "doctor", "well")
    assert net.shown("well", "ann") == []
    (bot,) = box.status()["bots"]
    assert bot["connections"] == 1  # its own, as before


def test_stopping_an_endless_answer_closes_the_card_in_time(net: World, share: Path) -> None:
    net.add_bot("endless", tokens=2000, interval=0.05)
    box = net.box("-v", f"{folder(share, 'endless')}:/config", *net.environment())
    box.connected("endless")
    net.say("endless", "ann", "a very long one")
    box.until(lambda: net.shown("endless", "ann") and net.shown("endless", "ann")[0]["text"], "it")
    code, took = box.stop()
    assert (code, took < 10) == (0, True), f"{code} after {took} s\n{box.log}"
    (card,) = net.shown("endless", "ann")
    assert card["state"] in {"finished", "failed"}
    assert "w0001" in card["text"]


def test_killed_it_is_back_and_nothing_comes_twice(net: World, share: Path) -> None:
    net.add_bot("phoenix", tokens=60, interval=0.05)
    box = net.box("-v", f"{folder(share, 'phoenix')}:/config", *net.environment())
    box.connected("phoenix")
    assert net.ask("phoenix", "bob", "done before")["state"] == "finished"
    net.say("phoenix", "ann", "cut off")
    box.until(lambda: net.shown("phoenix", "ann") and net.shown("phoenix", "ann")[0]["text"], "it")
    (old,) = program(box)
    box.kill(old, "9")
    box.says("starting again in 1 s, after crash 1")
    box.until(lambda: program(box) not in ([], [old]), "a new one")
    box.connected("phoenix")
    box.until(lambda: net.shown("phoenix", "ann")[0]["state"] != "typing", "no longer spinning")
    box.until(
        lambda: net.shown("phoenix", "ann")[0]["state"] in {"finished", "failed"}, "the card's end"
    )
    assert net.ask("phoenix", "bob", "and now?")["state"] == "finished"
    assert len(net.shown("phoenix", "ann")) == 1
    assert len(net.shown("phoenix", "bob")) == 2
    asked = net.run(
        "return [it.query for it in dify.requests if it.key == 'app-phoenixkey0123456789']"
    )
    assert asked == ["done before", "cut off", "and now?"]
    box.exec("/etc/s6/healthcheck")
    assert "Z" not in processes(box).values()
    assert box.stop()[0] == 0


def broken(share: Path, code: str) -> tuple[str, ...]:
    """Options by which the program's own code ends it; what was compiled must be hidden."""
    file = share / "broken.py"
    file.write_text(code)
    file.chmod(0o644)
    package = "/opt/dod/src/dod"
    return ("-v", f"{file}:{package}/cli.py:ro", "--tmpfs", f"{package}/__pycache__")


def test_a_crash_loop_ends_with_the_programs_own_code(net: World, share: Path) -> None:
    box = net.box(*broken(share, "raise SystemExit(3)\n"), "-e", "DOD_MAX_CRASHES=3")
    assert box.exits() == 3
    assert box.log.count("dod has died with code 3") == 3
    assert "starting again in 1 s" in box.log
    assert "starting again in 2 s" in box.log
    assert "3 crashes in a row; the container ends with code 3" in box.log


def test_stopping_during_the_back_off_is_quick_and_clean(net: World, share: Path) -> None:
    box = net.box(*broken(share, "import os\nos.abort()\n"))
    box.says("starting again in 4 s")
    code, took = box.stop()
    assert (code, took < 2) == (0, True), f"{code} after {took} s"
    assert "dod has died with code 134" in box.log


def test_ten_good_minutes_are_forgiven(net: World) -> None:
    """The tally, without waiting: the start of this life is moved back by eleven minutes."""
    box = net.box()
    box.says("dod starts")
    run = box.exec("sh", "-c", "ls -d /run/dod /dev/shm/dod 2> /dev/null || :")
    box.exec("sh", "-c", f"echo 5 > {run}/crashes; echo -660 > {run}/started", user="0")
    box.kill(program(box)[0], "9")
    box.says("(crash 1)")
    box.says("starting again in 1 s, after crash 1")


def test_an_unusable_file_ends_it_if_the_admin_wants_that(net: World, share: Path) -> None:
    config = folder(share)
    (config / "bots.yaml").write_text("bots: [\n")
    box = net.box("-v", f"{config}:/config", "-e", "DOD_ON_BAD_CONFIG=exit")
    assert box.exits() == 78
    assert box.log.count("dod starts") == 1


def test_never_two_generations_even_if_the_supervisor_is_killed(net: World, share: Path) -> None:
    net.add_bot("orphan")
    box = net.box("-v", f"{folder(share, 'orphan')}:/config", *net.environment())
    box.connected("orphan")
    (old,) = program(box)
    supervisor = [pid for pid, it in processes(box).items() if it.startswith("s6-supervise dod")]
    box.kill(supervisor[0], "9")
    box.says(f"an earlier dod (pid {old}) has lost its supervisor")
    box.says("dod has stopped")
    box.until(lambda: len(program(box)) == 1 and program(box) != [old], "the new one alone")
    box.connected("orphan")
    assert net.run("return dingtalk.live_connections('dingorphan')") == 1
    box.exec("/etc/s6/healthcheck")
    assert box.stop()[0] == 0


def test_orphans_are_reaped(net: World) -> None:
    box = net.box()
    box.says("dod starts")
    box.exec("sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.2 &) & done")
    time.sleep(0.05)
    box.until(lambda: "sleep 0.2 " not in processes(box).values(), "ended")
    assert "Z" not in processes(box).values()


def test_hup_looks_now(net: World, share: Path) -> None:
    """Without inotify (its instances of this uid are used up) and with a poll of ten minutes."""
    net.add_bot("hup1")
    net.add_bot("hup2")
    hog = (
        "import ctypes, time\n"
        "while ctypes.CDLL(None).inotify_init() >= 0: pass\n"
        "print('used up', flush=True)\n"
        "time.sleep(600)"
    )
    hungry = net.box(
        "--user", "4711:4711", "--entrypoint", "/opt/dod/bin/python", "--init", words=("-c", hog)
    )
    hungry.says("used up")
    config = folder(share, "hup1")
    slow = ("--user", "4711:4711", "-e", "DOD_POLL_SECONDS=600")
    box = net.box(*slow, "-v", f"{config}:/config", *net.environment())
    box.signal("HUP")  # long before dod can listen: must not end it
    box.connected("hup1")
    box.says("sysctl fs.inotify.max_user_instances")
    (config / "bots.yaml").write_text(bots("hup1", "hup2"), "utf-8")
    time.sleep(1.5)  # the time in which a poll or an event would have seen it
    assert box.status()["config"]["loads"] == 1
    box.signal("HUP")
    box.connected("hup1", "hup2")
    assert "dod has died" not in box.log


def test_ready_and_healthy(net: World, share: Path) -> None:
    net.add_bot("ready")
    box = net.box("-v", f"{folder(share, 'ready')}:/config", *net.environment())
    box.connected("ready")
    box.until(lambda: box.exec("/etc/s6/healthcheck", check=False) == "", "healthy")
    (pid,) = program(box)
    box.kill(pid, "STOP")
    run = box.exec("sh", "-c", "ls -d /run/dod /dev/shm/dod 2> /dev/null || :")
    box.exec("touch", "-d", "-2 minutes", f"{run}/app/heartbeat", user="0")
    assert "no heartbeat for 12" in box.exec("/etc/s6/healthcheck", check=False)
    box.kill(pid, "CONT")
    box.until(lambda: box.exec("/etc/s6/healthcheck", check=False) == "", "healthy again")


def test_log_files_are_copies_and_rotate(net: World, share: Path) -> None:
    net.add_bot("log")
    config, logs = folder(share, "log"), share / "log"
    logs.mkdir()
    logs.chmod(0o777)
    small = ("-e", "DOD_LOG_DIR=/log", "-e", "DOD_LOG_BYTES=4096", "-e", "DOD_LOG_FILES=3")
    options = ("-v", f"{config}:/config", "-v", f"{logs}:/log", "-e", "LOG_LEVEL=DEBUG")
    box = net.box(*options, *small, *net.environment())
    box.connected("log")
    net.run("for n in range(80): await say('log', f'p{n % 20}', f'question {n}')")
    box.until(lambda: len(list(logs.glob("@*"))) == 3, "three old files")
    assert box.stop()[0] == 0
    assert "dod has stopped" in box.log
    told = box.log.splitlines()
    kept = "".join(path.read_text("utf-8") for path in sorted(logs.glob("[@c]*"))).splitlines()
    assert kept
    assert kept == told[-len(kept) :]
    assert kept[-1].endswith("dod has stopped")


def test_a_full_log_disk_stops_neither_the_bots_nor_docker_logs(net: World, share: Path) -> None:
    net.add_bot("full")
    options = ("-v", f"{folder(share, 'full')}:/config", "-e", "LOG_LEVEL=DEBUG")
    full = ("--tmpfs", "/log:size=32k,mode=1777", "-e", "DOD_LOG_DIR=/log")
    box = net.box(*options, *full, *net.environment())
    box.connected("full")
    box.exec("sh", "-c", "head -c 64k /dev/zero > /log/fill", check=False)
    net.run("for n in range(200): await say('full', f'p{n % 20}', f'question {n}')")
    box.until(lambda: box.log.count("turn=answered") == 200, "all answered, all logged")
    code, took = box.stop()
    assert (code, took < 10) == (0, True), f"{code} after {took} s"
    assert "dod has stopped" in box.log


def test_a_log_folder_that_cannot_be_written_is_said(net: World) -> None:
    box = net.box("--user", "1026:100", "-e", "DOD_LOG_DIR=/etc/logs")
    box.says("DOD_LOG_DIR=/etc/logs cannot be written")
    box.says("waiting for it")


# -- hosts on which it cannot run: one sentence, exit 78


def one_sentence(box: Box) -> str:
    assert box.exits() == 78, box.log
    assert len(box.log.splitlines()) == 1, box.log
    return box.log


def test_an_old_docker_that_blocks_clone3(net: World, share: Path) -> None:
    rule = {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    profile = share / "old.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    said = one_sentence(net.box("--security-opt", f"seccomp={profile}"))
    assert "seccomp=unconfined" in said
    assert "升级 Docker" in said


def test_an_old_host_that_blocks_faccessat2_is_fine(net: World, share: Path) -> None:
    rule = {"names": ["faccessat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    profile = share / "old.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    box = net.box("--security-opt", f"seccomp={profile}")
    box.says("waiting for it")
    assert box.stop()[0] == 0


def test_an_old_kernel_that_knows_no_clone3_is_fine(net: World, share: Path) -> None:
    names = ["clone3", "statx", "rseq", "faccessat2", "openat2", "close_range"]
    rule = {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    profile = share / "old.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    box = net.box("--security-opt", f"seccomp={profile}")
    box.says("waiting for it")
    assert box.stop()[0] == 0


def test_a_clock_that_stands_in_1970(net: World, share: Path) -> None:
    clock = share / "date"
    clock.write_text("#!/bin/sh\necho 1970\n")
    clock.chmod(0o755)
    assert "1970" in one_sentence(net.box("-v", f"{clock}:/usr/bin/date:ro"))


def test_nothing_writable(net: World) -> None:
    said = one_sentence(net.box("--read-only", "--tmpfs", "/dev/shm:ro"))
    assert "tmpfs: [/run]" in said


@pytest.mark.parametrize("extra", [(), ("--cap-add", "SETUID", "--cap-add", "SETGID")])
def test_root_without_the_capabilities(net: World, extra: tuple[str, ...]) -> None:
    said = one_sentence(net.box("--cap-drop", "ALL", *extra))
    assert "cap_add: [SETUID, SETGID, KILL]" in said


def test_ids_that_are_no_numbers(net: World) -> None:
    assert "PUID=nas" in one_sentence(net.box("-e", "PUID=nas"))
