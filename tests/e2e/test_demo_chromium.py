"""The chat page in a real Chromium: what a person sees, types, presses and breaks."""

import json
from pathlib import Path

import pytest

from tests.e2e.chromium import Tab, drive

CONNECTED = "!!world.status && world.status.ready && world.status.bots.length === 2"
WHOLE = "[data-state=finished][data-whole=true]"
FITS = (
    "document.documentElement.scrollWidth <= innerWidth && ['list', 'panel', 'windows', 'bar']"
    ".every((id) => byId(id).scrollWidth <= byId(id).clientWidth)"
)


def cards(window: int, more: str = "") -> str:
    return f"windows[{window}].node.querySelectorAll('.row.card{more}')"


def chat(person: str, title: str) -> str:
    """The line of the list: ``title`` in that person's DingTalk."""
    wanted = f"it.person === '{person}' && it.chat.title.includes('{title}')"
    return f"[...entries.values()].find((it) => {wanted}).node"


async def ask(tab: Tab, question: str, count: int, window: int = 0) -> None:
    await tab.type(question, window)
    await tab.press_enter()
    await tab.until(f"{cards(window, WHOLE)}.length === {count}")


@pytest.mark.timeout(240)
def test_a_person_asks_and_reads_tables_and_code(tmp_path: Path) -> None:
    async def act(tab: Tab, address: str) -> None:
        await tab.open(address, 1280, 800, "zh-CN")
        await tab.until(CONNECTED)
        await tab.picture("desktop-empty")
        assert await tab.value("document.documentElement.lang") == "zh-CN"
        await tab.type("年假怎么算？")
        await tab.press_enter()
        await tab.until("!!windows[0].log.querySelector('.row.card[data-state=typing] h2')")
        await tab.picture("desktop-typing")
        await tab.until(f"{cards(0, WHOLE)}.length === 1")
        card = "windows[0].log.querySelector('.row.card')"
        assert await tab.value(f"{card}.querySelectorAll('table tbody tr').length") == 3
        assert await tab.value(f"{card}.querySelector('ol').children.length") == 3
        assert await tab.value(f"{card}.querySelector('.label').innerText") == "已完成"
        link = f"{card}.querySelector('blockquote a')"
        assert await tab.value(f"{link}.href") == "https://example.com/handbook"
        # A screen reader hears the whole answer once.
        heard = await tab.value("byId('announcer').textContent")
        assert heard.startswith("助手 Assistant 回答：")
        assert "年假一览" in heard
        assert await tab.value("windows[0].log.getAttribute('aria-live')") == "off"
        await ask(tab, "写一段代码", 2)
        code = "[...windows[0].log.querySelectorAll('pre code')].pop()"
        assert "from pathlib import Path\n\nfor path" in await tab.value(f"{code}.textContent")
        await tab.picture("desktop-finished")

        await ask(tab, "@助手 怎么报销？", 1, window=1)  # the second window shows the group
        await ask(tab, "@制度问答 Handbook 年假怎么算？", 2, window=1)
        await tab.picture("desktop-group")
        # The same group as somebody else sees it, in the window that was used last.
        await tab.value(f"{chat('tom', '产品群')}.click()")
        assert await tab.value("windows[1].person") == "tom"
        assert await tab.value("windows[1].node.querySelectorAll('.row.mine').length") == 0
        assert await tab.value(f"{cards(1)}.length") == 2
        await tab.click("#language")
        assert await tab.value("document.documentElement.lang") == "en"
        await tab.picture("desktop-english")
        await tab.open(address, 1280, 800, "zh-CN")  # the choice is remembered
        assert await tab.value("document.documentElement.lang") == "en"

    drive(tmp_path, act)


@pytest.mark.timeout(240)
def test_three_people_at_once_and_the_keyboard(tmp_path: Path) -> None:
    async def act(tab: Tab, address: str) -> None:
        await tab.open(address, 1680, 900, "zh-CN")
        await tab.until(CONNECTED)
        assert await tab.value("windows.map((one) => one.person)") == ["lilei", "hanmeimei", "tom"]
        assert await tab.value("room()") == 3
        await tab.click("[data-scene=together]")
        typing = "one.node.querySelector('.card[data-state=typing] .text:not(:empty)')"
        await tab.until(f"windows.every((one) => {typing})")
        await tab.picture("desktop-three")
        await tab.until(f"windows.every((one) => one.node.querySelector('.card{WHOLE}'))")
        assert await tab.value("world.counts.asked") == 3
        # Three questions of one person: the later ones are told their place, in order.
        await tab.click("[data-scene=queue]")
        await tab.until("windows[0].log.innerText.includes('您提问时排在第 2 位')")
        await tab.picture("desktop-queue")
        await tab.until("byId('bots').innerText.includes('排队 2')")

        await tab.press("Digit2", 50, alt=True)
        assert await tab.value("document.activeElement === windows[1].box")
        await tab.press("Tab", 9)
        assert await tab.value("document.activeElement.closest('.window') !== windows[1].node")
        await tab.press("Digit1", 49, alt=True)
        await tab.press("ArrowDown", 40, alt=True)
        assert await tab.value("windows[0].title.textContent") == "制度问答 Handbook"
        assert await tab.value("document.activeElement === windows[0].box")
        await tab.send("Input.insertText", text="/help")
        await tab.press_enter()
        await tab.until("windows[0].log.innerText.includes('/stop')")
        await tab.press("ArrowUp", 38)
        assert await tab.value("windows[0].box.value") == "/help"
        # A ring is drawn around what has the focus, and the lab is one key away.
        await tab.press("Digit0", 48, alt=True)
        focused = "getComputedStyle(document.activeElement)"
        assert await tab.value("document.activeElement.dataset.mishap") == "slow"
        await tab.press("Tab", 9)
        assert await tab.value(f"{focused}.outlineStyle") == "solid"
        assert await tab.value("document.activeElement.dataset.mishap") == "fails"

    drive(tmp_path, act)


@pytest.mark.timeout(240)
def test_a_button_makes_trouble_and_says_what_came_of_it(tmp_path: Path) -> None:
    async def act(tab: Tab, address: str) -> None:
        await tab.open(address, 1280, 900, "en-GB")
        await tab.until(CONNECTED)
        await tab.click("[data-mishap=fails]")  # asks by itself: nobody was talking
        await tab.until(f"{cards(0, '[data-state=failed][data-whole=true]')}.length === 1")
        text = await tab.value("windows[0].log.querySelector('.card .text').innerText")
        assert "Annual leave" in text
        assert "The answer is incomplete" in text
        await tab.until("byId('told').innerText.includes('over')")
        assert await tab.value("!!byId('told').querySelector('[data-count=calls]:not(.none)')")
        await tab.picture("desktop-fails")

        await tab.click("[data-mishap=throttle]")
        pressed = "document.querySelector('[data-mishap=throttle]').getAttribute('aria-pressed')"
        await tab.until(f"{pressed} === 'true'")
        refused = "byId('told').querySelector('[data-count=refused]:not(.none) dd')"
        await tab.until(f"Number({refused}?.textContent) > 0")
        await tab.picture("desktop-throttled")
        await tab.click("[data-mishap=throttle]")  # the same button ends it
        await tab.until(f"{pressed} === 'false'")
        await tab.until(f"{cards(0, WHOLE)}.length === 1")

        await tab.click("[data-mishap=kill]")
        await tab.until("!!byId('flow').querySelector('.node.real.bad')")
        await tab.until("windows[0].log.innerText.includes('The service was restarted')")
        await tab.until(CONNECTED)
        again = "byId('told').querySelector('[data-count=reconnects]:not(.none) dd')"
        await tab.until(f"{again}?.textContent === '2'")
        await tab.picture("desktop-killed")

        # Without the lab a strip above the chats says what is wrong, and ends it.
        await tab.click("#panel-button")
        assert await tab.value("room()") == 3
        await tab.value("press('twice')")
        await tab.until("byId('banner').innerText.includes('delivers thrice')")
        await tab.click("#banner button")
        await tab.until("byId('banner').hidden")
        # What the server does not take is said.
        await tab.value("windows[0].chat = 'nowhere', world.chats.push({id: 'nowhere'})")
        await tab.value("SCENES.queue()")
        await tab.until("byId('gone').innerText.includes('No such chat')")

    drive(tmp_path, act, complaints=("/api/say",))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("width", [360, 400])
def test_it_works_on_a_phone_and_spares_half_typed_chinese(tmp_path: Path, width: int) -> None:
    async def act(tab: Tab, address: str) -> None:
        await tab.open(address, width, 780, "en-GB")
        await tab.until(CONNECTED)
        await tab.picture("phone-chats")
        assert await tab.value(FITS)
        await tab.click(".chat")
        await tab.value("windows[0].box.focus()")
        # The Enter that ends a composition chooses a word; it does not send.
        await tab.send("Input.imeSetComposition", text="ni", selectionStart=2, selectionEnd=2)
        await tab.send(
            "Input.dispatchKeyEvent",
            type="rawKeyDown",
            key="Process",
            code="Enter",
            windowsVirtualKeyCode=229,
        )
        await tab.value(
            "windows[0].box.dispatchEvent(new KeyboardEvent('keydown', "
            "{key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
        )
        assert await tab.value("windows[0].box.value") == "ni"
        assert await tab.value("document.querySelectorAll('.row').length") == 0
        await tab.value("windows[0].put('')")
        await ask(tab, "How much leave do I have?", 1)
        await tab.picture("phone-leave")
        await ask(tab, "Write some code", 2)
        await tab.picture("phone-code")
        assert await tab.value(FITS)
        assert await tab.value("windows[0].log.scrollWidth <= windows[0].log.clientWidth")
        small = "[...document.querySelectorAll('.window:not([hidden]) button')].filter((it) => "
        assert await tab.value(f"{small} it.offsetHeight && it.offsetHeight < 30).length") == 0
        await tab.click(".window .more")
        await tab.until("byId('bots').innerText.includes('2 answers')")
        await tab.picture("phone-lab")
        assert await tab.value(FITS)
        await tab.value("history.back()")  # the phone's own key
        await tab.until("byId('app').dataset.view === 'chats'")
        await tab.picture("phone-chats-after")
        assert await tab.value(FITS)
        await tab.click("#tab-panel")
        await tab.click("[data-mishap=cut]")
        await tab.click("#tab-chats")
        await tab.until("byId('list').innerText.includes('[typing')")
        await tab.click(".chat")
        await tab.click(".window .back")
        await tab.until("byId('app').dataset.view === 'chats'")
        await tab.until("world.counts.reconnects === 2")

    drive(tmp_path, act)


@pytest.mark.timeout(240)
def test_the_panel_tells_what_became_of_a_save(tmp_path: Path) -> None:
    """Break ``bots.yaml`` and the panel shows where; mend it and the problem is gone."""

    async def act(tab: Tab, address: str) -> None:
        file = tmp_path / "demo" / "config" / "bots.yaml"
        fine = file.read_text("utf-8")
        await tab.open(address, 1280, 800, "en-GB")
        await tab.until(CONNECTED)
        for name in ("助手 Assistant", "制度问答 Handbook"):
            box = f"document.querySelector('.bot[data-bot=\"{name}\"]')"
            await tab.until(f"{box}?.dataset.generation === '1'")
            assert "connected" in await tab.value(f"{box}.innerText")
        assert await tab.value("byId('path').textContent") == str(file)
        shown = await tab.value("byId('yaml-text').textContent")
        assert "name: 助手 Assistant" in shown
        assert "demo-secret" not in shown
        file.write_text(fine.replace("workflow\n", "work flow\n"), "utf-8")
        await tab.until("byId('problems').innerText.includes('bots.yaml:36:20')")
        assert "Only a part" in await tab.value("byId('verdict').innerText")
        assert "workflow" in await tab.value("document.querySelector('.problem .fix').innerText")
        # The source line, and the caret below the very character that it means.
        source = "document.querySelector('.problem .source')"
        await tab.until(f"!!{source}")
        first, second = (await tab.value(f"{source}.textContent")).split("\n")
        assert first == "36 │     dify_app_type: work flow"
        assert second == "   │     dify_app_type: ^"
        left = await tab.value(f"{source}.querySelector('.caret').getBoundingClientRect().left")
        start = (
            f"(() => {{ const it = document.createRange(), text = {source}.childNodes[1];"
            "it.setStart(text, text.data.indexOf('work flow')); it.collapse(true);"
            "return it.getBoundingClientRect().left; })()"
        )
        assert abs(left - await tab.value(start)) < 1
        await tab.until("byId('bots').innerText.includes('runs with its old configuration')")
        assert await tab.value("!!document.querySelector('#yaml-text .wrong')")
        await tab.picture("desktop-partly")
        file.write_text(fine.replace("name: 助手", "name：助手"), "utf-8")
        await tab.until("byId('problems').innerText.includes('bots.yaml:9:')")
        assert "Not applied" in await tab.value("byId('verdict').innerText")
        # A fix is to be typed as it is shown, with the blanks it begins with.
        file.write_text(fine.replace("    dify_app_type", "      dify_app_type", 1), "utf-8")
        await tab.until("byId('problems').innerText.includes('line up')")
        fix = await tab.value("document.querySelector('.problem .fix').innerText")
        assert "    dify_app_type" in fix
        assert await tab.value("byId('app').dataset.mood") == "bad"
        await tab.picture("desktop-rejected")
        await tab.resize(390, 844)
        await tab.until("narrow()")
        await tab.picture("phone-rejected")
        await tab.click("#tab-panel")
        await tab.picture("phone-rejected-panel")
        assert await tab.value(FITS)
        await tab.resize(1280, 800)
        new = "  - name: 新的 New\n    dingtalk_app_client_id: dingnew\n"
        file.write_text(fine + new, "utf-8")
        await tab.until("!!document.querySelector('.bot[data-bot=\"新的 New\"] .bad')")
        await tab.picture("desktop-not-started")
        file.write_text(
            fine.replace("handler: Dify", "max_workers: 3\n    handler: Dify", 1), "utf-8"
        )
        await tab.until("!document.querySelector('.problem')")
        assert "All of it is applied" in await tab.value("byId('verdict').innerText")
        await tab.until("!!document.querySelector('.bot[data-generation=\"2\"]')")
        assert await tab.value("document.querySelectorAll('.bot[data-generation]').length") == 2
        assert await tab.value("byId('app').dataset.mood") == ""
        await tab.picture("desktop-mended")

    drive(tmp_path, act)


# Markdown → HTML of the nodes that the page's own renderer makes.
MARKDOWN = {
    "<img src=x onerror=alert(1)> & <b>": "<p>&lt;img src=x onerror=alert(1)&gt; "
    "&amp; &lt;b&gt;</p>",
    "[x](javascript:alert(1))": "<p><span>x</span></p>",
    "![a *b*](@lAz1) ![c](a@b)": '<p><img class="picture" alt="a *b*" src="media/%40lAz1"> '
    "<span>c</span></p>",
    "[x](@lAz1)": "<p><span>x</span></p>",
    "![x](https://e.com/p.png)": '<p><a href="https://e.com/p.png" target="_blank" '
    'rel="noopener noreferrer nofollow">x</a></p>',
    "see https://e.com/a_b_c.": '<p>see <a href="https://e.com/a_b_c" target="_blank" '
    'rel="noopener noreferrer nofollow">https://e.com/a_b_c</a>.</p>',
    "**a *b* c** and *d* and `*e*` ~~f~~": "<p><strong>a <em>b</em> c</strong> and <em>d</em> and "
    "<code>*e*</code> <del>f</del></p>",
    "2 * 3 * 4 and snake_case_name": "<p>2 * 3 * 4 and snake_case_name</p>",
    r"\*not\* bold": "<p>*not* bold</p>",
    "one\ntwo\n\nthree": "<p>one<br>two</p><p>three</p>",
    "# One\n###### Six ##": "<h1>One</h1><h6>Six</h6>",
    "- a\n  - b\n    1. c\n- d": "<ul><li><p>a</p><ul><li><p>b</p><ol><li><p>c</p></li></ol></li>"
    "</ul></li><li><p>d</p></li></ul>",
    "3. a\n\n4. b": '<ol start="3"><li><p>a</p></li><li><p>b</p></li></ol>',
    "1. a\n   ```\n   x\n   ```": "<ol><li><p>a</p><pre><code>x</code></pre></li></ol>",
    "> a\n> - b": "<blockquote><p>a</p><ul><li><p>b</p></li></ul></blockquote>",
    "```js\n**x** <y>\n": '<pre><code data-language="js">**x** &lt;y&gt;\n</code></pre>',
    "| a | b |\n|:-:|--:|\n| `x|y` | **z** |\n| only |": '<div class="scroll"><table><thead><tr>'
    '<th class="centre">a</th><th class="right">b</th></tr></thead><tbody><tr>'
    '<td class="centre"><code>x|y</code></td><td class="right"><strong>z</strong></td></tr>'
    '<tr><td class="centre">only</td><td class="right"></td></tr></tbody></table></div>',
    # As dod writes it for a card: breaks, and tags that are to be read (docs/markdown.md).
    "a<br>\nb<br />c<BR>d": "<p>a<br>b<br>c<br>d</p>",
    "&lt;img src=x onerror=alert(1)> &#60;b> &#x3C; &amp;lt; &#0;": "<p>&lt;img src=x "
    "onerror=alert(1)&gt; &lt;b&gt; &lt; &amp;lt; \ufffd</p>",
    "`&lt;br>`": "<p><code>&amp;lt;br&gt;</code></p>",
    '<font color="red">a **b**</font>': "<p>a <strong>b</strong></p>",
    "| a |\n|---|\n| 1<br>2 |": '<div class="scroll"><table><thead><tr><th>a</th></tr></thead>'
    "<tbody><tr><td>1<br>2</td></tr></tbody></table></div>",
    "a\n\n---\nb": "<p>a</p><hr><p>b</p>",
    "**中文：**后面": "<p><strong>中文：</strong>后面</p>",
}


@pytest.mark.timeout(240)
def test_markdown_becomes_nodes_and_never_html(tmp_path: Path) -> None:
    async def act(tab: Tab, address: str) -> None:
        await tab.open(address, 1280, 800, "zh-CN")
        for source, html in MARKDOWN.items():
            made = await tab.value(
                "(() => { const box = document.createElement('div');"
                f"box.append(...markdown({json.dumps(source)})); return box.innerHTML; }})()"
            )
            assert made == html, source
        # What a half-written or hostile answer may hold takes no noticeable time.
        for text in ("**" * 4000, "[" * 4000, "`" * 4000, "> " * 2000, "- " * 2000, "_a" * 4000):
            took = await tab.value(
                f"(() => {{ const from = performance.now(); markdown({json.dumps(text)});"
                "return performance.now() - from; })()"
            )
            assert took < 3000, text[:4]
        # A picture that is not there leaves its words.
        await tab.value("windows[0].log.replaceChildren(...markdown('![图](@lAz1)'))")
        await tab.until("document.querySelector('.lost')?.textContent === '图'")

    drive(tmp_path, act, complaints=("/media/%40lAz1",))
