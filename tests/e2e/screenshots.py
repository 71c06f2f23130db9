"""The pictures of the documents, taken of a real demo: ``python -m tests.e2e.screenshots``.

Needs Chromium and a Chinese font (Debian: fonts-noto-cjk). They are written into ``docs/``; look at
each before it is committed.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from tests.e2e.chromium import Tab, drive

DOCS = Path(__file__).parents[2] / "docs"
MOST = 200_000  # bytes of a picture
READY = "!!world.status && world.status.ready && world.status.bots.length === 2"
IDLE = (
    "![...world.items.values()].some(active)"
    " && !document.querySelector('.window:not([hidden]) .card:not([data-whole=true])')"
)
LOADED = "[...document.querySelectorAll('.md img')].every((it) => it.complete)"
DESKTOP = (1440, 900)
PHONE = (390, 780)


class Album:
    """Takes the pictures of one language: ``demo-WHAT.LANGUAGE.webp``."""

    def __init__(self, tab: Tab, folder: Path, language: str, config: Path) -> None:
        self.tab = tab
        self.folder = folder
        self.language = language
        self.config = config

    def words(self, chinese: str, english: str) -> str:
        return chinese if self.language == "zh" else english

    async def take(self, name: str) -> None:
        await self.tab.value("document.activeElement?.blur()")
        shot = await self.tab.shot(format="webp", quality=88)  # a third of a PNG
        file = self.folder / f"demo-{name}.{self.language}.webp"
        file.write_bytes(shot)
        print(f"{file.name} {len(shot) // 1000} kB")
        assert len(shot) < MOST, file

    async def answers(self) -> None:
        """A picture sent, a chart, a table with its sources, and code: one in each window."""
        await self.tab.value("showPanel(false)")
        await self.tab.until("room() === 3")
        await self.tab.value("windows[0].show('lilei', windows[0].chat)")
        single = "chatsOf(world.people[{0}].id).find((it) => it.kind === 'single').id"
        for number in (1, 2):
            chat = single.format(number)
            await self.tab.value(f"windows[{number}].show(world.people[{number}].id, {chat})")
        for number, hint in ((0, 4), (1, 1), (2, 2)):
            await self.tab.value(f"windows[{number}].ask(HINTS[{hint}][tongue])")
        await self.tab.until(f"{IDLE} && world.counts.asked === 3")
        await self.tab.until(LOADED)
        like = "windows[1].log.querySelector('[data-press=like]')"
        await self.tab.value(f"{like}.click()")
        await self.tab.until(f"{like}.getAttribute('aria-pressed') === 'true'")
        await self.tab.value("for (const one of windows) one.toEnd()")
        await self.take("answers")
        await self.tab.value("location.reload()")
        await self.tab.until("document.readyState === 'complete' && entries.size > 0")
        await self.tab.until(READY)

    async def busy(self) -> None:
        """Three people at once, caught while their cards are being typed on."""
        await self.tab.value("showPanel(false)")
        await self.tab.until("room() === 3")
        for number, hint in ((0, 2), (1, 1), (2, 3)):
            await self.tab.value(f"windows[{number}].ask(HINTS[{hint}][tongue])")
        await self.tab.until(f"{IDLE} && world.counts.asked === 6")
        await self.tab.value("SCENES.together()")
        rows = "[...windows[0].log.querySelectorAll('.card')].pop().querySelectorAll('td').length"
        await self.tab.until(f"world.counts.asked === 9 && {rows} >= 5")
        await self.take("chats")
        await self.tab.until(IDLE)
        await self.tab.value("showPanel(true)")

    async def trouble(self) -> None:
        """A failure, a queue, and DingTalk throttling."""
        await self.tab.click("[data-mishap=fails]")
        await self.tab.until(f"!!windows[0].log.querySelector('[data-state=failed]') && {IDLE}")
        await self.tab.value("bringToFront(1), SCENES.queue()")
        place = self.words("第 2 位", "number 2")
        await self.tab.until(f"windows[1].log.innerText.includes('{place}')")
        await self.tab.click("[data-mishap=throttle]")
        await self.tab.value("windows[0].ask(HINTS[2][tongue])")
        count = "byId('told').querySelector('[data-count=refused] dd')"
        await self.tab.until(f"Number({count}?.textContent) >= 3")
        await self.take("trouble")
        await self.tab.click("[data-mishap=throttle]")
        await self.tab.until(IDLE)

    async def verdict(self) -> None:
        fine = self.config.read_text("utf-8")
        self.config.write_text(fine.replace("workflow\n", "work flow\n"), "utf-8")
        await self.tab.until("!!document.querySelector('.problem .source')")
        await self.tab.until("!!document.querySelector('.bot .small.warn')")
        await self.tab.value("byId('panel').scrollTop = byId('file-title').offsetTop - 70")
        await self.take("verdict")
        self.config.write_text(fine, "utf-8")
        await self.tab.until("!document.querySelector('.problem')")

    async def phone(self) -> None:
        await self.tab.resize(*PHONE, scale=2)
        await self.tab.until("narrow()")
        await self.tab.value("go('chats')")
        await self.take("phone-list")
        await self.tab.value("bringToFront(0), go('chat'), windows[0].ask(HINTS[1][tongue])")
        rows = "[...windows[0].log.querySelectorAll('.card')].pop().querySelectorAll('td').length"
        await self.tab.until(
            f"!!windows[0].log.querySelector('[data-state=typing]') && {rows} >= 9"
        )
        await self.take("phone-chat")
        await self.tab.until(IDLE)
        await self.tab.value("windows[0].toEnd()")
        await self.take("phone-sources")
        for name, hint in (("picture", 4), ("code", 2)):
            asked = await self.tab.value("world.counts.asked")
            await self.tab.value(f"windows[0].ask(HINTS[{hint}][tongue])")
            await self.tab.until(f"world.counts.asked > {asked} && {IDLE}")
            await self.tab.until(LOADED)
            await self.tab.value("windows[0].toEnd()")
            await self.take(f"phone-{name}")
        await self.tab.value("go('panel'), byId('panel').scrollTop = 0")
        await self.take("phone-lab")


def photograph(folder: Path, language: str, home: Path) -> None:
    """``home`` is where the demo keeps its files; its path is in the pictures."""

    async def act(tab: Tab, address: str) -> None:
        album = Album(tab, folder, language, home / "demo" / "config" / "bots.yaml")
        locale = album.words("zh-CN", "en-GB")
        await tab.open(address, *DESKTOP, locale)
        await tab.until(READY)
        await album.answers()
        await album.busy()
        await album.trouble()
        await album.verdict()
        await album.phone()

    with tempfile.TemporaryDirectory() as scratch:
        drive(Path(scratch), act, folder=home / "demo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("languages", nargs="*", default=["zh", "en"], help="zh, en")
    parser.add_argument("--to", type=Path, default=DOCS, help="the folder (%(default)s)")
    arguments = parser.parse_args()
    for language in arguments.languages:
        home = Path(tempfile.gettempdir()) / "dod"  # read in the pictures: the same each time
        home.mkdir()
        try:
            photograph(arguments.to, language, home)
        finally:
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
