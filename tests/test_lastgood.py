"""What is kept of a good configuration, and that it comes back as it was."""

import logging
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dod.config.bots import Tagged, unresolved
from dod.config.document import parse
from dod.config.emitter import document
from dod.config.lastgood import TOP, LastGood, file_name
from dod.config.load import Loaded, load, load_text
from dod.config.nodes import Mapping
from dod.config.source import Source

NASTY = [
    "a: b",
    "# no comment",
    "a #b",
    "'single' \"double\" \\ back",
    "two\nlines\r\nand\ttab",
    "😀 emoji, 中文：全角　空格",
    "007",
    "1e3",
    "yes",
    "null",
    "~",
    "2020-01-01",
    "!secret nothing",
    "*alias &anchor",
    "<<",
    "- item",
    "{a: [b]}",
    "%YAML 1.1",
    "---",
    " lead and trail ",
    "\ufeffbom \u2028 \u202e",
    "",
]


class Scene:
    """A configuration folder and a data folder."""

    def __init__(self, tmp_path: Path) -> None:
        self.config = tmp_path / "config"
        self.config.mkdir()
        self.folder = tmp_path / "data" / "last-good"
        self.run_secrets = tmp_path / "run-secrets"
        self.good = LastGood(self.folder, run_secrets=self.run_secrets)

    def save(self, text: str, name: str = "bots.yaml") -> None:
        (self.config / name).write_text(text, encoding="utf-8")

    def load(self, text: str | None = None, **environ: str) -> Loaded:
        if text is not None:
            self.save(text)
        return load(self.config, environ, run_secrets=self.run_secrets)

    def keep(self, text: str, **environ: str) -> Loaded:
        loaded = self.load(text, **environ)
        self.good.keep(loaded)
        return loaded

    def revive(self, names: set[str] | frozenset[str] | None = None, **environ: str) -> Loaded:
        return self.good.revive(names, self.config, environ)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def all_bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.folder.iterdir())


@pytest.fixture
def it(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def bot(name: str, more: str = "", *, client: str = "", secret: str = "s3cret-of-{}") -> str:
    plain = name if name.isascii() else name.encode().hex()
    return (
        f"- name: {name}\n"
        f"  dingtalk_app_client_id: {client or 'ding' + plain}\n"
        f"  dingtalk_app_client_secret: {secret.format(plain)}\n"
        f"  dify_app_type: chatbot\n"
        f"  dify_app_api_key: {'app-key-of-' + plain}\n{more}"
    )


def specs(loaded: Loaded) -> dict[str, Any]:
    return {spec.name: spec for spec in loaded.config.bots} if loaded.config else {}


# -- coming back


def test_what_was_accepted_comes_back_equal(it: Scene) -> None:
    it.save("workflow", "type.txt")
    it.save("[staff-1, '007']", "people.yaml")
    kept = it.keep(
        "admins: ['0042', staff-2]\nlanguage: zh\ndingtalk_qps: 0\n"
        "defaults: {max_workers: 7, allow: {users: !include people.yaml}}\nbots:\n"
        + bot("it", "  conversation: {group: shared, expire_minutes: 5}\n")
        + bot("人事", "  greeting: |\n    你好\n    world\n  allow: {groups: [g1]}\n", client="d2")
    )
    assert kept.verdict == "accepted", kept.problems
    it.save("{{{ broken")
    for name in ("type.txt", "people.yaml"):
        (it.config / name).unlink()
    assert it.load().config is None
    back = it.revive()
    assert kept.config is not None
    assert back.config is not None
    assert specs(back) == specs(kept)  # in no order
    assert replace(back.config, bots=()) == replace(kept.config, bots=())
    assert not back.problems
    assert (back.verdict, back.file, back.rejected) == ("accepted", "last-good", ())
    assert back.language == "zh"


@pytest.mark.parametrize("text", NASTY)
def test_any_string_comes_back_as_it_was(it: Scene, text: str) -> None:
    given_ = {
        "name": "it",
        "dingtalk_app_client_id": "dingit",
        "dingtalk_app_client_secret": "s3cret",
        "dify_app_type": "workflow",
        "dify_app_api_key": "app-1",
        "greeting": text,
        "dify_inputs": {"key " + text: text, "x" * 2000: "y"},
    }
    loaded = load_text(
        document({}, [given_]), {}, folder=it.config, name="bots.yaml", run_secrets=it.run_secrets
    )
    assert loaded.config is not None, loaded.problems
    it.good.keep(loaded)
    back = specs(it.revive())["it"]
    assert back == loaded.config.bots[0]
    assert back.greeting == text
    assert ("key " + text, text) in back.dify_inputs


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(), VALUES, min_size=1, max_size=4))
def test_whatever_is_emitted_reads_back(value: dict[str, Any]) -> None:
    parsed = parse(Source("x", document({}, [value])))
    assert isinstance(parsed.root, Mapping)
    assert parsed.sound, parsed.remarks
    assert unresolved(parsed.root)["bots"] == [value]


def test_dates_and_special_numbers_are_left_as_they_were() -> None:
    source = "{a: 2020-01-01, b: .inf, c: -.inf, d: 0x10, e: 1_000}"
    root = parse(Source("x", source)).root
    assert root is not None
    value = unresolved(root)
    again = parse(Source("x", document({}, [value]))).root
    assert again is not None
    assert unresolved(again)["bots"] == [value]


# -- tags and secrets


def test_tags_are_kept_as_tags_and_resolved_as_of_today(it: Scene) -> None:
    it.save("it_key: app-planted-one\n", "secrets.yaml")
    it.save("DINGTALK_PLANTED=planted-variable\n", ".env")
    text = "bots:\n" + bot("it").replace("app-key-of-it", "!secret it_key").replace(
        "s3cret-of-it", '!env_var "DINGTALK_PLANTED default:#x"'
    )
    assert it.keep(text).verdict == "accepted"
    written = it.all_bytes()
    assert b"planted" not in written.replace(b"DINGTALK_PLANTED", b"").lower()
    assert b'!secret "it_key"' in written
    it.save("it_key: app-planted-two\n", "secrets.yaml")
    spec = specs(it.revive(DINGTALK_PLANTED="from-outside"))["it"]
    assert spec.dify_app_api_key == "app-planted-two"
    assert spec.dingtalk_app_client_secret == "from-outside"
    it.save("", ".env")
    assert specs(it.revive())["it"].dingtalk_app_client_secret == "default:#x"


def test_a_secret_that_is_gone_costs_its_bot_and_no_other(
    it: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    it.save("it_key: app-planted-one\n", "secrets.yaml")
    it.keep("bots:\n" + bot("it").replace("app-key-of-it", "!secret it_key") + bot("hr"))
    (it.config / "secrets.yaml").unlink()
    with caplog.at_level(logging.WARNING):
        back = it.revive()
        it.revive()
    assert set(specs(back)) == {"hr"}
    assert not back.problems
    assert len(caplog.messages) == 1, caplog.messages
    assert "bot=it last good version not usable" in caplog.messages[0]


def test_a_page_password_is_never_written_and_the_page_stays_closed(it: Scene) -> None:
    it.keep("web: {password: planted-password}\nbots:\n" + bot("it"))
    assert b"planted-password" not in it.all_bytes()
    back = it.revive()
    assert back.config is not None
    assert back.config.web.password not in {"", "planted-password"}
    assert back.verdict == "accepted"


def test_a_page_password_behind_a_tag_comes_back(it: Scene) -> None:
    it.save("web: planted-password\n", "secrets.yaml")
    it.keep("admins: [web]\nweb: {password: !secret web}\nbots:\n" + bot("it"))
    assert b"planted" not in it.all_bytes()
    back = it.revive().config
    assert back is not None
    assert back.web.password == "planted-password"
    (it.config / "secrets.yaml").unlink()
    closed = it.revive().config
    assert closed is not None
    assert len(closed.web.password) > 10


def test_no_page_password_stays_none(it: Scene) -> None:
    it.keep("admins: [web]\nbots:\n" + bot("it"))
    back = it.revive().config
    assert back is not None
    assert back.web.password == ""


# -- the files


def test_modes_are_private(it: Scene) -> None:
    it.keep("bots:\n" + bot("it"))
    assert stat.S_IMODE(it.folder.stat().st_mode) == 0o700
    assert it.files == ["bot-it.yaml", TOP]
    for path in it.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_what_differs_is_written(it: Scene) -> None:
    def inodes() -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in it.folder.iterdir()}

    it.keep("bots:\n" + bot("it") + bot("hr"))
    before = inodes()
    it.keep("# a comment\nbots:\n" + bot("it") + bot("hr"))
    assert inodes() == before
    it.keep("bots:\n" + bot("it", "  max_workers: 9\n") + bot("hr"))
    after = inodes()
    assert after["bot-hr.yaml"] == before["bot-hr.yaml"]
    assert after["bot-it.yaml"] != before["bot-it.yaml"]


def test_names_make_safe_distinct_short_file_names() -> None:
    names = ["it", "IT", "../it", "a/b", "top-level", ".", "..", "人事" * 32, "人事" * 31, "a b"]
    files = [file_name(name) for name in names]
    assert len({file.lower() for file in files}) == len(names)
    for file in files:
        assert len(file) < 100
        assert "/" not in file
        assert file.isascii()
        assert file not in {".", "..", TOP}


def test_a_damaged_file_is_skipped_and_said_once(
    it: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    it.keep("bots:\n" + bot("it") + bot("hr") + bot("ops"))
    (it.folder / "bot-it.yaml").write_bytes(b"\x00\xff\xfe garbage")
    (it.folder / "bot-hr.yaml").write_bytes(b"bots:\n- name: hr\n  unknown_key: 1\n")
    with caplog.at_level(logging.WARNING):
        assert set(specs(it.revive())) == {"ops"}
        assert set(specs(it.revive())) == {"ops"}
    assert len(caplog.messages) == 2, caplog.messages


def test_nothing_kept_is_nothing_revived(it: Scene) -> None:
    back = it.revive()
    assert back.config is None
    assert back.verdict == "waiting"


# -- which bots stay


def test_a_bad_bot_keeps_its_last_good_version(it: Scene) -> None:
    it.keep("bots:\n" + bot("it", "  max_workers: 3\n") + bot("hr"))
    broken = it.keep("bots:\n" + bot("it", "  max_workers: many\n") + bot("hr"))
    assert broken.rejected == ("it",)
    assert it.good.meant(broken) == frozenset({"it"})
    back = it.revive({"it"})
    assert set(specs(back)) == {"it"}
    assert specs(back)["it"].max_workers == 3


def test_a_bot_no_longer_listed_is_forgotten(it: Scene) -> None:
    it.keep("bots:\n" + bot("it") + bot("hr"))
    it.keep("bots:\n" + bot("hr"))
    assert it.files == ["bot-hr.yaml", TOP]
    it.keep("bots: []\n")
    assert it.files == [TOP]


@pytest.mark.parametrize("text", ["", "{{{ broken", "bots: 7", "bots:\n- name: it\n"])
def test_a_file_that_cannot_be_used_forgets_nothing(it: Scene, text: str) -> None:
    it.keep("bots:\n" + bot("it") + bot("hr"))
    it.keep(text)
    assert it.files == ["bot-hr.yaml", "bot-it.yaml", TOP]


def test_an_unusable_file_means_all_bots(it: Scene) -> None:
    it.keep("bots:\n" + bot("it") + bot("hr"))
    for text in ("", "{{{ broken"):
        assert it.good.meant(it.load(text)) is None
    assert set(specs(it.revive(None))) == {"it", "hr"}


def test_a_bot_whose_name_was_lost_is_known_by_its_client_id(it: Scene) -> None:
    it.keep("bots:\n" + bot("it") + bot("hr"))
    broken = it.keep("bots:\n" + bot("hr") + bot("it").replace("- name: it", "- name: 7"))
    assert broken.rejected == ("#2",)
    assert it.good.meant(broken) == frozenset({"it"})
    assert "bot-it.yaml" in it.files


def test_a_renamed_bot_with_an_error_keeps_its_old_version(it: Scene) -> None:
    it.save("client: dingit\n", "secrets.yaml")
    it.keep("bots:\n" + bot("it", client="!secret client") + bot("hr"))
    broken = it.keep(
        "bots:\n" + bot("new", "  max_workers: x\n", client="!secret client") + bot("hr")
    )
    assert broken.rejected == ("new",)
    assert it.good.meant(broken) == frozenset({"it"})
    assert "bot-it.yaml" in it.files
    it.keep("bots:\n" + bot("new", client="!secret client") + bot("hr"))
    assert it.files == ["bot-hr.yaml", "bot-new.yaml", TOP]


def test_a_doubled_name_does_not_cost_the_bot_that_had_another(it: Scene) -> None:
    it.keep("bots:\n" + bot("it") + bot("hr"))
    broken = it.keep("bots:\n" + bot("it") + bot("it", client="dinghr"))
    assert it.good.meant(broken) == frozenset({"hr"})
    assert "bot-hr.yaml" in it.files


def test_an_entry_that_may_be_any_bot_spares_all(it: Scene) -> None:
    it.keep("bots:\n" + bot("it") + bot("hr") + bot("ops"))
    broken = it.keep("bots:\n" + bot("it") + "- just a word\n" + bot("team", client="dinghr"))
    assert broken.rejected == ("#2",)
    assert it.good.meant(broken) == frozenset({"ops"})  # hr has become team
    assert it.files == ["bot-it.yaml", "bot-ops.yaml", "bot-team.yaml", TOP]


def test_a_new_bot_with_an_error_revives_nobody(it: Scene) -> None:
    it.keep("bots:\n" + bot("it") + bot("hr"))
    broken = it.keep("bots:\n" + bot("it") + bot("new", "  max_workers: x\n"))
    assert it.good.meant(broken) == frozenset()
    assert it.files == ["bot-it.yaml", TOP]


# -- the disk


def test_a_disk_that_takes_nothing_is_one_warning_until_it_changes(
    it: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    it.folder.parent.mkdir()
    it.folder.write_text("a file in place of the folder")
    with caplog.at_level(logging.INFO):
        it.keep("bots:\n" + bot("it"))
        it.keep("bots:\n" + bot("it", "  max_workers: 4\n"))
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert it.revive().config is None
        it.folder.unlink()
        it.keep("bots:\n" + bot("it"))
        assert "can be written again" in caplog.messages[-1]
        shutil.rmtree(it.folder)
        it.folder.write_text("again")
        it.keep("bots:\n" + bot("it"))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


def test_a_tag_is_emitted_as_a_tag_only_if_it_was_one() -> None:
    text = document({}, [{"a": Tagged("!secret x"), "b": "!secret x"}])
    assert '- "a": !secret "x"\n  "b": "!secret x"\n' in text
