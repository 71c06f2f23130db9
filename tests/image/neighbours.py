"""Both neighbours in a container of the image, steered by the tests.

``POST /`` is the body of an async function, run on the simulators' loop; its value is the answer,
as JSON. This is an evaluator: it listens on the tests' own network, and for as long as they run.
"""

import asyncio
import json
import signal
import socket
import textwrap
import traceback
from typing import Any

from aiohttp import web

from dod.sim.dify.scripts import echo
from dod.sim.dify.simulator import SimDify
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.world import SimCard, SimChat, SimMessage, SimPerson, SimReply

HOST = socket.gethostbyname(socket.gethostname())
PORT, DINGTALK, DIFY = 9000, 9001, 9002

dingtalk = SimDingTalk(DINGTALK, host=HOST)
dify = SimDify(DIFY, host=HOST)
people: dict[str, SimPerson] = {}


def add_bot(name: str, **how: Any) -> None:
    """The apps of a bot at both neighbours. ``how``: see ``echo``."""
    dingtalk.add_app(f"ding{name}", f"dingsecret-{name}-0123456789")
    dify.add_app(f"app-{name}key0123456789", "chat", script=echo(**how))


def chat_of(bot: str, nick: str) -> tuple[SimChat, SimPerson]:
    person = people.get(nick) or people.setdefault(nick, dingtalk.person(nick, f"staff-{nick}"))
    return dingtalk.single(f"ding{bot}", person), person


async def say(bot: str, nick: str, text: str) -> None:
    chat, person = chat_of(bot, nick)
    await dingtalk.say(f"ding{bot}", chat, person, text)


def shown(bot: str, nick: str) -> list[dict[str, str]]:
    """What the person sees of the bot, in order: cards (with their state) and messages."""
    seen = []
    for it in dingtalk.shown(chat_of(bot, nick)[0]):
        match it:
            case SimCard():
                seen.append({"kind": "card", "state": it.state, "text": it.text})
            case SimReply():
                seen.append({"kind": "reply", "state": "finished", "text": it.text})
            case SimMessage():
                pass
    return seen


async def _run(request: web.Request) -> web.Response:
    source = "async def _body():\n" + textwrap.indent(await request.text(), "    ")
    names = globals()
    try:
        exec(source, names)
        return web.json_response({"value": await names["_body"]()})
    except Exception:  # noqa: BLE001 the rim: told to the test
        return web.json_response({"error": traceback.format_exc()})


async def main() -> None:
    await dingtalk.start()
    await dify.start()
    app = web.Application()
    app.router.add_post("/", _run)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, PORT).start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(json.dumps({"dingtalk": dingtalk.url, "dify": dify.url}), flush=True)
    await stop.wait()
    await runner.cleanup()
    await dify.close()
    await dingtalk.close()


if __name__ == "__main__":
    asyncio.run(main())
