"""``/help`` shows what this very bot can do, and nothing else."""

from dataclasses import replace

import pytest

from dod.bridge.guide import guide
from dod.errors import DifyError
from dod.messages import Abilities, FileField, FileRule
from dod.texts import KINDS, Tongue
from tests.scene import GROUP, SPEC, Scene, message, play

ALL = Abilities(files=FileRule(frozenset({"image", "document", "video"})))
PICTURES = Abilities(fields=(FileField("photo", FileRule(frozenset({"image"}))),))


@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        ("chatbot", {"/new", "/stop", "/good", "/bad", "/id", "/help"}),
        ("completion", {"/stop", "/good", "/bad", "/id", "/help"}),
        ("workflow", {"/stop", "/id", "/help"}),
    ],
)
def test_commands_that_apply(kind: str, commands: set[str]) -> None:
    spec = replace(SPEC, dify_app_type=kind)  # type: ignore[arg-type]
    tongues: tuple[Tongue, ...] = ("zh", "en")
    for tongue in tongues:
        told = guide(spec, None, "single", tongue)
        words = {"/new", "/stop", "/good", "/bad", "/id", "/help"}
        assert {word for word in words if f"`{word}`" in told} == commands


@pytest.mark.parametrize(
    ("can", "single", "group", "not_in_groups"),
    [
        (None, {"audio"}, set(), {"audio"}),
        (Abilities(), {"audio"}, set(), {"audio"}),
        (PICTURES, {"picture", "audio"}, {"picture"}, {"audio"}),
        (ALL, {"picture", "audio", "file", "video"}, {"picture"}, {"audio", "file", "video"}),
    ],
)
def test_what_can_be_sent_and_where(
    can: Abilities | None, single: set[str], group: set[str], not_in_groups: set[str]
) -> None:
    def named(line: str) -> set[str]:
        return {kind for kind, (chinese, _) in KINDS.items() if chinese in line.partition("：")[2]}

    alone = guide(SPEC, can, "single", "zh").split("\n\n")
    assert named(alone[1]) == single
    there = guide(SPEC, can, "group", "zh").split("\n\n")
    assert "@我" in there[0]
    lines = there[1:-1]
    assert named(lines[-1]) == not_in_groups
    assert (named(lines[0]) if len(lines) == 2 else set()) == group


def test_the_app_is_asked_what_it_takes() -> None:
    scene = Scene()
    scene.app.can = PICTURES
    play(scene, message(1, "/help", chat=GROUP))
    assert scene.channel.replies[0][1] == guide(SPEC, PICTURES, "group", "zh")


def test_help_comes_also_while_dify_is_away() -> None:
    scene = Scene()
    scene.app.faults.on("abilities", 0, DifyError("away", key="dify_unreachable"))
    play(scene, message(1, "/help"))
    assert scene.channel.replies[0][1] == guide(SPEC, None, "single", "zh")
