"""What a bot on an official SDK must manage against the simulator, whatever its language.

The bot is a process of its own. It answers by the text it is told: ``webhook`` with a text by the
session webhook, ``card`` with an AI card (create, deliver, stream, finalize), anything else with
its ack alone.
"""

import asyncio
import os
from pathlib import Path

from dod.sim.dingtalk.faults import Switches
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.templates import PUBLIC_MARKDOWN
from dod.sim.dingtalk.world import SimCard, SimChat, SimMessage

APP, SECRET, TEMPLATE = "ding-sdk", "secret-of-ding-sdk", "own.schema"


class Stage:
    """One simulator, one bot process, one person in a 1:1 chat and a group."""

    def __init__(self, sim: SimDingTalk) -> None:
        self.sim = sim
        sim.add_app(APP, SECRET)
        sim.add_template(TEMPLATE)
        self.ann = sim.person("Ann", "staff1")
        self.single = sim.single(APP, self.ann)
        self.group = sim.group("Team", [self.ann])

    async def told(self, chat: SimChat, text: str) -> SimMessage:
        """Say it; returns when the bot has acknowledged it."""
        message = await self.sim.say(APP, chat, self.ann, text)
        await self.sim.wait(lambda: message.acks, 10)
        assert message.acks[0].code == 200
        return message

    async def finished(self, message: SimMessage) -> SimCard:
        """The card that answers ``message``, once it spins no more."""

        def found() -> SimCard | None:
            cards = [card for card in self.sim.cards.values() if card.msg is message]
            return cards[0] if cards and cards[0].state == "finished" else None

        return await self.sim.wait(found, 10)

    async def connected(self, times: int) -> None:
        sim = self.sim
        await sim.wait(
            lambda: sim.connections_opened[APP] >= times and sim.live_connections(APP) == 1, 20
        )

    async def receives_acks_and_replies(self) -> None:
        for chat in (self.single, self.group):
            message = await self.told(chat, "webhook")
            await self.sim.wait(lambda: message.answered, 10)  # noqa: B023  awaited at once
            reply = self.sim.replies[-1]
            assert (reply.chat, reply.medium, reply.msg) == (chat, "webhook", message)
            assert reply.text == "heard: webhook"

    async def types_on_a_card(self) -> None:
        for chat in (self.single, self.group):
            card = await self.finished(await self.told(chat, "card"))
            assert (card.text, card.chat) == ("one two three", chat)
            texts = [frame.text for frame in card.frames if frame.kind in {"stream", "finalize"}]
            assert texts == ["one", "one two", "one two three"]

    async def answers_system_pings(self) -> None:
        await self.sim.ping(APP)
        await self.sim.wait(lambda: self.sim.connections(APP)[0].pongs == 1, 10)

    async def comes_back_after_disconnect(self) -> None:
        await self.sim.disconnect(APP)
        await self.connected(2)
        await self.told(self.single, "hello again")

    async def uses_the_public_template(self) -> None:
        card = await self.finished(await self.told(self.single, "public"))
        assert (card.text, card.template.id) == ("public text", PUBLIC_MARKDOWN)


async def prove(command: list[str], log: Path, *, public: bool, grace: float) -> None:
    """Play the whole scenario with the bot that ``command`` starts; its output goes to ``log``.

    ``grace``: seconds from the ``disconnect`` frame until the simulator drops the connection.
    """
    sim = await SimDingTalk(switches=Switches(disconnect_grace=grace)).start()
    stage = Stage(sim)
    env = {
        **os.environ,
        "DINGTALK_OPENAPI_ENDPOINT": sim.url,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "BOT_CLIENT_ID": APP,
        "BOT_CLIENT_SECRET": SECRET,
        "BOT_TEMPLATE": TEMPLATE,
    }
    with log.open("wb") as output:
        bot = await asyncio.create_subprocess_exec(*command, env=env, stdout=output, stderr=output)
    try:
        await stage.connected(1)
        await stage.receives_acks_and_replies()
        await stage.types_on_a_card()
        if public:
            await stage.uses_the_public_template()
        await stage.answers_system_pings()
        await stage.comes_back_after_disconnect()
        assert sim.complaints == []
        assert not sim.refused
    except (AssertionError, TimeoutError) as exc:
        raise AssertionError(f"{exc}\n--- the bot said\n{log.read_text()[-4000:]}") from exc  # noqa: ASYNC240
    finally:
        bot.kill()
        await bot.wait()
        await sim.close()
