"""What lies on the NAS: /config and /data, whose they are, and what becomes of them."""

import os
from pathlib import Path

import pytest

from tests.image.engine import World, bots

pytestmark = pytest.mark.timeout(180)


def folder(share: Path, text: str, owner: int = 1026) -> Path:
    config = share / "config"
    config.mkdir()
    os.chown(config, owner, 100)
    (config / "bots.yaml").write_text(text, "utf-8")
    return config


def test_conversations_survive_a_new_container(net: World, share: Path) -> None:
    net.add_bot("memory")
    options = ("-v", f"{folder(share, bots('memory'))}:/config", "-v", f"{net.volume()}:/data")
    box = net.box(*options, *net.environment())
    box.connected("memory")
    assert "(turn 1)" in net.ask("memory", "ann", "first")["text"]
    assert box.stop()[0] == 0
    box.remove()
    box = net.box(*options, *net.environment())
    box.connected("memory")
    assert "(turn 2)" in net.ask("memory", "ann", "second")["text"]
    assert "file_system=" in box.log


def test_the_second_container_on_a_volume_waits_and_takes_over(net: World, share: Path) -> None:
    net.add_bot("only")
    options = ("-v", f"{folder(share, bots('only'))}:/config", "-v", f"{net.volume()}:/data")
    first = net.box("--hostname", "nas-one", *options, *net.environment())
    first.connected("only")
    second = net.box(*options, *net.environment())
    second.says("is in use by another dod")
    assert "on nas-one)" in second.log
    assert second.states() == {}
    assert net.run("return dingtalk.live_connections('dingonly')") == 1
    assert net.ask("only", "ann", "who is it?")["state"] == "finished"
    assert first.stop()[0] == 0
    second.says("is free now: taking over")
    second.connected("only")
    assert "(turn 2)" in net.ask("only", "ann", "and who now?")["text"]
    assert len(net.shown("only", "ann")) == 2


def test_a_file_mounted_by_itself_is_named(net: World, share: Path) -> None:
    net.add_bot("single")
    config = folder(share, bots("single"))
    file = config / "bots.yaml"
    box = net.box("-v", f"{file}:/config/bots.yaml", *net.environment())
    box.connected("single")
    assert "bots.yaml is mounted as a single file" in box.log
    assert "is a deleted old version" not in box.log
    draft = config / "draft"
    draft.write_text(bots("single"), "utf-8")
    draft.replace(file)
    box.says("bots.yaml as seen here is a deleted old version")


def test_an_empty_folder_is_made_ready_for_its_owner(net: World, share: Path) -> None:
    config = share / "config"
    config.mkdir(mode=0o775)
    os.chown(config, 1026, 100)
    config.chmod(0o775)
    box = net.box("-v", f"{config}:/config", *net.environment())
    box.says("An example: edit it, save")
    for name in ("bots.yaml", "config.schema.json", ".vscode/settings.json", "bots.status.txt"):
        path = config / name
        box.until(path.exists, name)
        found = path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1026, 100, 0o664), name
    (config / "bots.yaml").write_text("# mine\n")
    box.stop()
    box.start()
    box.says("waiting for it", 2)
    assert (config / "bots.yaml").read_text() == "# mine\n"


def test_a_form_is_enough_until_the_file_lists_bots(net: World, share: Path) -> None:
    for name in ("form", "file"):
        net.add_bot(name)
    config = folder(share, "# nothing\n")
    secret = share / "secret"
    secret.write_text("app-formkey0123456789\n")
    secret.chmod(0o644)
    form = {
        "DINGTALK_APP_CLIENT_ID": "dingform",
        "DINGTALK_APP_CLIENT_SECRET": "dingsecret-form-0123456789",
        "DIFY_APP_API_KEY_FILE": "/run/secrets/dify",
        "DIFY_APP_API_KEY": "",  # as forms leave what was not filled in
    }
    words = [word for item in form.items() for word in ("-e", "=".join(item))]
    mounts = ("-v", f"{config}:/config", "-v", f"{secret}:/run/secrets/dify:ro")
    box = net.box(*mounts, *words, *net.environment())
    box.connected("bot")
    assert net.ask("form", "ann", "hello")["state"] == "finished"
    (config / "bots.yaml").write_text(bots("file"), "utf-8")
    box.connected("file", seconds=30)
    box.says("is ignored, because the configuration file lists bots")
    assert "formkey" not in box.log
    assert net.ask("file", "ann", "hello")["state"] == "finished"


def test_a_folder_of_someone_else_is_told_with_the_value_to_set(net: World, share: Path) -> None:
    net.add_bot("alien")
    config = folder(share, bots("alien"), owner=1030)
    box = net.box("--user", "1026:100", "-v", f"{config}:/config", *net.environment())
    box.connected("alien")
    box.says("/config belongs to 1030:100, dod runs as 1026:100")
    assert "set PUID=1030 and PGID=100" in box.log


def test_data_of_someone_else_is_told_and_the_bots_run(net: World, share: Path) -> None:
    net.add_bot("guest")
    data = share / "data"
    data.mkdir(mode=0o755)
    os.chown(data, 1030, 100)
    config = folder(share, bots("guest"))
    mounts = ("-v", f"{config}:/config", "-v", f"{data}:/data")
    box = net.box("--user", "1026:100", *mounts, *net.environment())
    box.connected("guest")
    box.says("/data belongs to 1030:100, dod runs as 1026:100")
    assert net.ask("guest", "ann", "hello")["state"] == "finished"
    # Without user: the owner of /data is who dod runs as.
    box = net.box(*mounts[2:], *net.environment())
    box.says("waiting for it")
    assert (data / "store").stat().st_uid == 1030


def test_data_that_somebody_filled_is_never_given_away(net: World, share: Path) -> None:
    data = share / "data"
    data.mkdir(mode=0o755)
    (data / "precious").write_text("root's")
    box = net.box("-v", f"{data}:/data")
    box.says("/data belongs to 0:0")
    assert (data.stat().st_uid, (data / "precious").stat().st_uid) == (0, 0)
