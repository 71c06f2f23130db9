"""Who takes part in a storm: twenty bots, two hundred people, and where they speak."""

import random
from dataclasses import dataclass, field

from dod.sim.dify.kinds import Kind, Version
from dod.sim.dify.simulator import SimDify
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.world import SimChat, SimPerson
from tests.e2e.rig import TEMPLATE
from tests.storm.answers import Pen

BOTS, PEOPLE, GROUPS = 20, 200, 30
OWN_TEMPLATE, ON_CARDS = 13, 17  # bots below: own card template; a card at all
KINDS: tuple[tuple[Kind, Version], ...] = (
    ("chat", "1.13"),
    ("chatflow", "1.13"),
    ("agent", "1.13"),
    ("chat", "0.15"),
    ("chatflow", "0.15"),
    ("completion", "1.13"),
    ("workflow", "1.13"),
    ("chatflow", "1.13.1"),
    ("chat", "1.13"),
    ("workflow", "0.15"),
)


@dataclass(eq=False)
class Bot:
    """One entry of bots.yaml and what may stand in it: two DingTalk apps, two Dify apps."""

    number: int
    name: str
    kind: Kind
    version: Version
    shared: bool
    client_id: str
    dify_key: str
    secrets: dict[str, str] = field(default_factory=dict)  # by client id, as DingTalk knows them
    keys: dict[str, object] = field(default_factory=dict)  # of the entry, beside credentials
    pen: Pen = field(default_factory=Pen)
    listed: bool = True

    @property
    def client_ids(self) -> tuple[str, str]:
        return f"ding-{self.number:02d}-a", f"ding-{self.number:02d}-b"

    @property
    def dify_keys(self) -> tuple[str, str]:
        return tuple(f"app-{self.number:02d}{one * 12}" for one in "xy")  # type: ignore[return-value]

    def entry(self, **wrong: object) -> dict[str, object]:
        """As it is to stand in the file; ``!secret`` is a tag there."""
        kinds = {"completion": "completion", "workflow": "workflow"}
        return {
            "name": self.name,
            "dingtalk_app_client_id": self.client_id,
            "dingtalk_app_client_secret": f"!secret {self.client_id}",
            "dify_app_type": kinds.get(self.kind, "chatbot"),
            "dify_app_api_key": f"!secret {self.dify_key[:8]}",
            **self.keys,
            **wrong,
        }


@dataclass(frozen=True)
class Spot:
    """A person in a chat, with the bots that can be asked there. No chat: 1:1 with the one bot."""

    person: SimPerson
    chat: SimChat | None
    bots: tuple[Bot, ...]


@dataclass
class Cast:
    """All of them. ``made``: every credential there ever was; none may be seen anywhere."""

    bots: list[Bot]
    spots: list[Spot]
    made: set[str]

    def bot_of(self, client_id: str) -> Bot:
        return next(bot for bot in self.bots if client_id in bot.client_ids)


def assemble(
    chance: random.Random, dingtalk: SimDingTalk, dify: SimDify, *, people: int = PEOPLE
) -> Cast:
    """Give both neighbours their apps and people."""
    dingtalk.add_template(TEMPLATE)
    bots = [_bot(number) for number in range(BOTS)]
    for bot in bots:
        for client_id, secret in bot.secrets.items():
            dingtalk.add_app(client_id, secret, name=bot.name)
        for key in bot.dify_keys:
            dify.add_app(key, bot.kind, version=bot.version, script=bot.pen)
    # Nicknames repeat; one in twenty is from outside and has no staffId.
    everybody = [
        dingtalk.person(f"小{n % 40}", None if n % 20 == 7 else f"staff-{n:03d}")
        for n in range(people)
    ]
    spots = [Spot(who, None, (chance.choice(bots),)) for who in everybody for _ in range(2)]
    for number in range(min(GROUPS, people // 6)):
        members = chance.sample(everybody, 6)
        chat = dingtalk.group(f"群 {number}", members)
        asked = tuple(chance.sample(bots, 3))
        spots += [Spot(who, chat, asked) for who in members]
    made = {secret for bot in bots for secret in bot.secrets.values()}
    made |= {key for bot in bots for key in bot.dify_keys}
    return Cast(bots, spots, made)


def _bot(number: int) -> Bot:
    kind, version = KINDS[number % len(KINDS)]
    keys: dict[str, object] = {"dify_timeout_seconds": 8, "max_workers": 1 + number % 3}
    if number < OWN_TEMPLATE:
        keys["dingtalk_ai_card_template_id"] = TEMPLATE
    if number < ON_CARDS:
        keys["card_updates"] = ("balanced", "smooth", "economical", "final")[number % 4]
    else:
        keys["handler"] = "DifyMarkdownBotHandler"
    shared = number % 4 == 3
    if shared:
        keys["conversation"] = {"group": "shared"}
    made = Bot(number, f"bot{number:02d}", kind, version, shared, "", "", keys=keys)
    made.secrets = {one: secret_for(one, 0) for one in made.client_ids}
    made.client_id, made.dify_key = made.client_ids[0], made.dify_keys[0]
    return made


def secret_for(client_id: str, version: int) -> str:
    return f"dingsecret-{client_id}-{version:03d}-0123456789"
