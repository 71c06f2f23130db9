"""Files on their way into Dify, and what its apps say they take."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from dod.dify import DifyApp
from dod.dify.parameters import abilities
from dod.errors import DifyError, FileNotTaken
from dod.messages import Abilities, FileField, FileRule, Question, UploadedFile
from dod.ports import Download
from dod.sim.dify.app import SimApp
from dod.sim.dify.files import Takes
from dod.sim.dify.kinds import Kind, Version
from dod.sim.dify.simulator import SimDify
from tests.recordings.replay import HERE

KEY = "app-simulated"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


def play(
    scenario: Callable[[DifyApp, SimApp, SimDify], Awaitable[None]],
    *,
    kind: Kind = "chat",
    version: Version = "1.13",
    takes: Takes | None = None,
) -> None:
    async def main() -> None:
        sim = SimDify()
        await sim.start()
        sim_app = sim.add_app(KEY, kind, version=version)
        sim_app.takes = takes or Takes(("image",))
        app_type = kind if kind in {"completion", "workflow"} else "chatbot"
        app = DifyApp(url=sim.url, key=KEY, app_type=app_type, timeout=5.0)
        try:
            await asyncio.wait_for(scenario(app, sim_app, sim), 10)
        finally:
            await app.aclose()
            await sim.close()

    asyncio.run(main())


def download(content: bytes, *, told: bool = True) -> Download:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    return Download(len(content) if told else -1, chunks())


async def whole(app: DifyApp, question: Question) -> None:
    async for _ in app.ask(question):
        pass


@pytest.mark.parametrize("told", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize("version", ["0.15", "1.13"])
def test_a_file_arrives_byte_for_byte_and_is_asked_about(version: Version, *, told: bool) -> None:
    async def scenario(app: DifyApp, _: SimApp, sim: SimDify) -> None:
        name = '图片 "一".png'.replace('"', "'")
        upload_id = await app.upload(name, "image/png", download(PNG, told=told), "ann")
        file = sim.files.taken[upload_id]
        assert (file.name, file.media, file.content, file.user) == (name, "image/png", PNG, "ann")
        await whole(app, Question("see?", "ann", files=(UploadedFile("image", upload_id),)))
        assert sim.requests[-1].files == [file]

    play(scenario, version=version)


def test_a_form_gets_them_as_its_variables() -> None:
    takes = Takes(fields={"picture": ("file", ("image",)), "papers": ("file-list", ("image",))})

    async def scenario(app: DifyApp, _: SimApp, sim: SimDify) -> None:
        ids = [await app.upload("a.png", "image/png", download(PNG), "ann") for _ in range(3)]
        one, *more = (UploadedFile("image", it) for it in ids)
        fields: dict[str, UploadedFile | tuple[UploadedFile, ...]]
        fields = {"picture": one, "papers": tuple(more)}
        await whole(app, Question("", "ann", inputs={"query": "q"}, fields=fields))
        assert [it.id for it in sim.requests[-1].files] == ids

    play(scenario, kind="workflow", takes=takes)


def test_a_voice_is_heard() -> None:
    async def scenario(app: DifyApp, _: SimApp, __: SimDify) -> None:
        assert (await app.abilities()).hears
        assert await app.transcribe("a.amr", "audio/amr", download(b"#!AMR"), "ann") == "喂"
        with pytest.raises(FileNotTaken):
            await app.transcribe("a.ogg", "audio/ogg", download(b"OggS"), "ann")

    play(scenario, takes=Takes(said=" 喂 "))


@pytest.mark.parametrize(
    ("takes", "key"),
    [
        (Takes(("image",), sizes={"image": 100}), "file_too_large_for_dify"),
        (Takes(("image",), gateway_limit=100), "file_too_large_for_dify"),
    ],
    ids=["dify", "nginx"],
)
def test_too_large_is_a_refusal_of_this_file(takes: Takes, key: str) -> None:
    async def scenario(app: DifyApp, _: SimApp, __: SimDify) -> None:
        with pytest.raises(FileNotTaken) as refused:
            await app.upload("a.png", "image/png", download(PNG), "ann")
        assert refused.value.key == key

    play(scenario, takes=takes)


def test_a_wrong_key_concerns_everything() -> None:
    async def scenario(app: DifyApp, sim_app: SimApp, _: SimDify) -> None:
        sim_app.enabled = False
        with pytest.raises(DifyError) as refused:
            await app.upload("a.png", "image/png", download(PNG), "ann")
        assert not isinstance(refused.value, FileNotTaken)
        assert refused.value.key == "dify_api_off"

    play(scenario)


def test_a_name_that_no_header_can_carry() -> None:
    async def scenario(app: DifyApp, _: SimApp, sim: SimDify) -> None:
        name = 'a"b\r\nX-Evil: 1\ud800.png'
        upload_id = await app.upload(name, "image/png", download(PNG), "ann")
        assert sim.files.taken[upload_id].content == PNG
        assert "\n" not in sim.files.taken[upload_id].name

    play(scenario, version="0.15")


def test_abilities_are_asked_for_once_and_again_after_a_failure() -> None:
    async def scenario(app: DifyApp, sim_app: SimApp, _: SimDify) -> None:
        sim_app.enabled = False
        with pytest.raises(DifyError):
            await app.abilities()
        sim_app.enabled = True
        assert (await app.abilities()).files == FileRule(frozenset({"image"}), most=3)
        sim_app.takes = Takes()
        assert (await app.abilities()).files is not None, "kept for a while"

    play(scenario)


# -- /parameters as versions and kinds of app write it


def parameters(name: str, version: str) -> Abilities:
    text = (HERE / f"dify-{version}" / f"parameters_{name}.http").read_text("utf-8")
    return abilities(json.loads(text[text.rindex("\n{") :]))


@pytest.mark.parametrize("version", ["0.15", "1.13"])
def test_recorded_parameters(version: str) -> None:
    chat = parameters("chat", version)
    assert chat.files == FileRule(
        frozenset({"image"}), frozenset(["jpg", "jpeg", "png", "gif", "webp", "svg"]), 3
    )
    assert chat.sizes["image"] == 2 << 20
    assert chat.hears is (version == "0.15")
    chatflow = parameters("chatflow", version).files
    assert chatflow is not None
    assert chatflow.kinds == {"image", "document", "audio", "video"}
    assert chatflow.most == 5
    assert parameters("chat_form", version).files is None
    workflow = parameters("workflow_files", version)
    assert workflow.files is None
    assert workflow.fields == (
        FileField("picture", FileRule(frozenset({"image"}), most=1)),
        FileField("papers", FileRule(frozenset({"image", "document"}), most=3), many=True),
    )


def test_the_oldest_form_and_nonsense() -> None:
    old = {
        "file_upload": {"image": {"enabled": True, "number_limits": 2}},
        "system_parameters": {"image_file_size_limit": "4"},
    }
    assert abilities(old).files == FileRule(frozenset({"image"}), most=2)
    assert abilities(old).sizes["image"] == 4 << 20
    for odd in ({}, {"file_upload": 1, "user_input_form": {"a": 1}, "system_parameters": []}):
        assert abilities(odd).files is None
    only_urls = {"enabled": True, "allowed_file_types": ["image"]}
    only_urls["allowed_file_upload_methods"] = ["remote_url"]
    assert abilities({"file_upload": only_urls}).files is None
