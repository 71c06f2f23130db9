"""The chat page in a real Chromium: pictures, files, voices, quotes and buttons."""

import base64
from pathlib import Path

import pytest

from dod.sim.dify.drawing import bars
from dod.texts import say
from tests.e2e.chromium import Tab, drive
from tests.e2e.test_demo_chromium import CONNECTED, FITS, WHOLE, cards, chat

LOG = "windows[0].log"
LAST = f"[...{LOG}.querySelectorAll('.row.card')].pop()"
LOADED = "img && img.complete && img.naturalWidth"


async def choose(tab: Tab, file: Path, window: int = 0) -> None:
    """What the file dialogue would give."""
    found = await tab.send("Runtime.evaluate", expression=f"windows[{window}].along.input")
    await tab.send("DOM.setFileInputFiles", files=[str(file)], objectId=found["result"]["objectId"])
    await tab.until(f"!!windows[{window}].along.file")


async def push(tab: Tab, expression: str) -> None:
    """Press a button that may be drawn anew meanwhile."""
    await tab.until(f"!!{expression} && !{expression}.hidden")
    await tab.value(f"{expression}.click()")


async def whole(tab: Tab, count: int, window: int = 0) -> None:
    await tab.until(f"{cards(window, WHOLE)}.length === {count}")


@pytest.mark.timeout(240)
def test_pictures_files_voices_and_quotes_go_in_and_come_back(tmp_path: Path) -> None:
    picture, text = tmp_path / "photo.png", tmp_path / "notes <b>.txt"
    picture.write_bytes(bars((1, 2, 3), 1))
    text.write_text("first line\nsecond", "utf-8")
    (tmp_path / "empty.png").touch()

    async def act(tab: Tab, address: str) -> None:
        await tab.open(address, 1280, 900, "zh-CN")
        await tab.until(CONNECTED)
        # A picture with its question, seen in the chat, and told of in the answer.
        await choose(tab, picture)
        await tab.picture("media-tray")
        assert "photo.png" in await tab.value("windows[0].along.tray.innerText")
        await tab.type("这是什么？")
        await tab.press_enter()
        await whole(tab, 1)
        said = await tab.value(f"{LAST}.querySelector('.text').innerText")
        assert "720 × 400" in said
        assert "这是什么" in said
        await tab.until(
            f"(() => {{ const img = {LOG}.querySelector('.mine img'); return {LOADED}; }})()"
        )
        assert await tab.value("windows[0].along.tray.hidden")

        # A picture in an answer, its progress before it, its suggestions below.
        await tab.type("画一张图")
        await tab.press_enter()
        await tab.until(f"{LAST}.innerText.includes('{say('using_tool', 'zh', name='画图')}')")
        await whole(tab, 2)
        await tab.until(
            f"(() => {{ const img = {LAST}.querySelector('.md img'); return {LOADED}; }})()"
        )
        assert await tab.value(f"{LAST}.querySelector('.md img').naturalWidth") == 720
        await tab.picture("media-chart")
        await tab.type("1")  # the first of the questions below it
        await tab.press_enter()
        await whole(tab, 3)
        assert "pathlib" in await tab.value(f"{LAST}.innerText")

        # A file, with a question of its own.
        await choose(tab, text)
        await tab.type("总结一下")
        await tab.press_enter()
        await whole(tab, 4)
        assert "first line" in await tab.value(f"{LAST}.innerText")
        name = f"{LOG}.querySelector('.mine .document b').textContent"
        assert await tab.value(name) == "notes <b>.txt"

        # A quote of the bot's own card, and a voice.
        await tab.value(f"{LAST}.querySelector('.quote').click()")
        await tab.type("为什么？")
        await tab.press_enter()
        await whole(tab, 5)
        quoted = f"[...{LOG}.querySelectorAll('.quoted')].pop().textContent"
        assert (await tab.value(quoted)).startswith("助手 Assistant: 收到 1 个文件")
        await tab.value("windows[0].along.speaker.click()")
        await tab.type("年假怎么算？")
        await tab.press_enter()
        await whole(tab, 6)
        assert "员工手册 2026.pdf" in await tab.value(f"{LAST}.innerText")
        assert await tab.value(f"!!{LOG}.querySelector('.mine .voice')")
        await tab.picture("media-voice")

        # What cannot be sent is said before it is sent; in a group there are no voices.
        await tab.value("windows[0].along.take(new File([], 'x.png', { type: 'image/png' }))")
        assert "空" in await tab.value("windows[0].wrong.innerText")
        huge = "new File([new Uint8Array(6 << 20)], 'x.png', { type: 'image/png' })"
        await tab.value(f"windows[0].along.take({huge})")
        assert "5 MB" in await tab.value("windows[0].wrong.innerText")
        assert await tab.value("windows[1].along.speaker.hidden")
        await tab.value("windows[1].along.take(new File(['x'], 'x.txt', { type: 'text/plain' }))")
        assert "群里只能发图片" in await tab.value("windows[1].wrong.innerText")

        # Pasted into the group.
        await tab.value(
            "(() => { const data = new DataTransfer(), bytes = Uint8Array.from(atob("
            f"'{base64.b64encode(picture.read_bytes()).decode()}'), (it) => it.charCodeAt(0));"
            "data.items.add(new File([bytes], 'shot.png', { type: 'image/png' }));"
            "windows[1].box.dispatchEvent(new ClipboardEvent('paste',"
            "{ clipboardData: data, bubbles: true, cancelable: true })); })()"
        )
        await tab.until("!!windows[1].along.file")
        await tab.type("@助手 看看这张图里有什么", window=1)
        await tab.press_enter()
        await whole(tab, 1, window=1)
        # The handbook's app takes no pictures, and says so.
        await tab.value(f"{chat('lilei', '制度问答')}.click()")
        front = await tab.value("front")
        await choose(tab, picture, front)
        await tab.value(f"windows[{front}].send()")
        await tab.until(
            f"windows[{front}].log.innerText.includes('{say('kind_not_taken', 'zh', kind='图片')}')"
        )
        assert await tab.value(FITS)

    drive(tmp_path, act)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("width", [360, 1280])
def test_buttons_of_a_card_and_a_very_long_answer(tmp_path: Path, width: int) -> None:
    async def act(tab: Tab, address: str) -> None:
        await tab.open(address, width, 780, "en-GB")
        await tab.until(CONNECTED)
        if width < 700:
            await tab.click(".chat")
        await tab.type("How much leave do I have?")
        await tab.press_enter()
        await tab.until(f"!!{LAST}?.querySelector('.text table')")
        await push(tab, f"{LAST}.querySelector('[data-press=stop]')")
        await whole(tab, 1)
        assert say("stopped", "en") in await tab.value(f"{LAST}.innerText")
        assert await tab.value(f"{LAST}.querySelector('[data-press=stop]').hidden")

        await tab.type("Draw a chart")
        await tab.press_enter()
        await whole(tab, 2)
        like = f"{LAST}.querySelector('[data-press=like]')"
        await push(tab, like)
        await tab.until(f"{like}.getAttribute('aria-pressed') === 'true'")
        await tab.until(f"{LAST}.querySelector('.notice').innerText === '{say('rated', 'en')}'")
        await push(tab, f"{LAST}.querySelector('[data-press=dislike]')")
        await tab.until(f"{like}.getAttribute('aria-pressed') === 'false'")
        await tab.value("windows[0].toEnd()")
        await tab.picture(f"media-buttons-{width}")
        assert await tab.value(FITS)

        await tab.type("Write something long")
        await tab.press_enter()
        await tab.until(f"!!{LOG}.querySelector('.row.reply a.document')")
        await whole(tab, 4)
        assert say("rest_in_file", "en") in await tab.value(f"{LAST}.innerText")
        link = f"{LOG}.querySelector('.row.reply a.document')"
        name = await tab.value(f"{link}.querySelector('b').textContent")
        assert name == say("rest_name", "en") + ".md"
        await tab.value("windows[0].toEnd()")
        await tab.picture(f"media-long-{width}")
        assert await tab.value(FITS)
        assert await tab.value(f"{LOG}.scrollWidth <= {LOG}.clientWidth")
        # The file opens, as text.
        await tab.send("Page.navigate", url=await tab.value(f"{link}.href"))
        await tab.until("document.body?.innerText.includes('Chapter 16')")
        assert await tab.value("document.contentType") == "text/plain"

    drive(tmp_path, act)
