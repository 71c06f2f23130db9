"""Random sequences of edits, crashes, wrong secrets and messages, against a fleet of real threads.

Invariants: running bots = accepted bots; an untouched bot never reconnects; nothing that was
acknowledged is lost or answered twice.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dod import fleet as fleet_module
from dod.botthread import alive
from dod.bridge import lines as lines_module
from dod.bridge.bot import Bot
from dod.config.spec import BotSpec, Config
from dod.fleet import Fleet
from dod.messages import Message, Press, PressReply
from dod.ports import StateChange
from tests.fakes import FakeChannel, MemoryStore, ScriptedApp
from tests.scene import HELLO, NOW, SPEC, FakeMeter, message

NAMES = ("a", "b", "c")


class Crash(RuntimeError):
    """Planned."""


class MortalChannel(FakeChannel):
    """Refuses wrong secrets; dies when told to."""

    def __init__(self, spec: BotSpec) -> None:
        super().__init__(now=NOW)
        self.spec = spec
        self.loop = asyncio.get_running_loop()
        self.dying = asyncio.Event()

    async def run(
        self,
        on_message: Callable[[Message], Awaitable[None]],
        on_state: Callable[[StateChange], None],
        on_press: Callable[[Press], Awaitable[PressReply]] | None = None,
    ) -> None:
        if self.spec.dingtalk_app_client_secret.startswith("wrong"):
            on_state(StateChange("bad_credentials", "refused"))
            await self.left.wait()
            return
        serving = asyncio.create_task(super().run(on_message, on_state, on_press))
        dying = asyncio.create_task(self.dying.wait())
        try:
            await asyncio.wait({serving, dying}, return_when=asyncio.FIRST_COMPLETED)
            if dying.done():
                raise Crash
        finally:
            serving.cancel()
            dying.cancel()

    @property
    def open(self) -> bool:
        return self._connected.is_set() and not (self.left.is_set() or self.dying.is_set())


class World:
    """All channels ever made, by client id, and one store: it survives bots."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.channels: dict[str, list[MortalChannel]] = {}
        self.apps: list[ScriptedApp] = []
        self.lock = threading.Lock()

    def build(self, spec: BotSpec, owner: str) -> Bot:
        return Bot(
            spec,
            store=self.store,
            make_channel=self.channel,
            make_app=self.app,
            meter=FakeMeter("final"),
            config=Config,
            owner=owner,
            alive=alive,
        )

    def channel(self, spec: BotSpec) -> MortalChannel:
        channel = MortalChannel(spec)
        with self.lock:
            self.channels.setdefault(spec.dingtalk_app_client_id, []).append(channel)
        return channel

    def app(self, spec: BotSpec) -> ScriptedApp:
        del spec
        app = ScriptedApp(HELLO)
        with self.lock:
            self.apps.append(app)
        return app

    def connected(self, client_id: str) -> list[MortalChannel]:
        return [channel for channel in self.channels.get(client_id, ()) if channel.open]

    def shown(self, message_id: str) -> list[str]:
        """What people saw of the answer, on whatever channel's card."""
        return [
            card.shown
            for channels in self.channels.values()
            for channel in channels
            for name, card in list(channel.cards.items())
            if name.startswith(message_id + "/") and card.ended
        ]


@settings(
    max_examples=60,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # shrinking real threads takes for ever
)
class FleetMachine(RuleBasedStateMachine):
    """Edits are whole files: the specs accepted, and the names rejected."""

    @initialize()
    def begin(self) -> None:
        fleet_module.FIRST_RESTART, self.first_restart = 0.01, fleet_module.FIRST_RESTART
        lines_module.PROOF, self.proof = 0.002, lines_module.PROOF
        self.world = World()
        self.fleet = Fleet(self.world.build)
        self.accepted: dict[str, BotSpec] = {}
        self.serials = itertools.count()
        self.said: list[tuple[str, str]] = []  # (client id, message id)

    def teardown(self) -> None:
        if not hasattr(self, "fleet"):
            return
        self.settle()
        for _, message_id in self.said:
            self.until(lambda: self.world.shown(message_id), f"{message_id} is answered")  # noqa: B023
            assert self.world.shown(message_id) == ["Hello"]
        asked = sum(len(app.questions) for app in self.world.apps)
        assert asked == len(self.said)
        self.fleet.drain(time.monotonic() + 5)
        assert self.fleet.join(5) == []
        fleet_module.FIRST_RESTART, lines_module.PROOF = self.first_restart, self.proof

    # -- what people do

    @rule(name=st.sampled_from(NAMES), workers=st.integers(1, 4))
    def add_or_change_live(self, name: str, workers: int) -> None:
        old = self.accepted.get(name) or replace(
            SPEC, name=name, dingtalk_app_client_id=f"ding-{name}", handler="DifyAiCardBotHandler"
        )
        self.save({**self.accepted, name: replace(old, max_workers=workers)}, touched={name})

    @rule(name=st.sampled_from(NAMES), wrong=st.booleans())
    def change_secret(self, name: str, wrong: bool) -> None:
        if name in self.accepted:
            secret = f"{'wrong' if wrong else 'right'}-{next(self.serials)}"
            spec = replace(self.accepted[name], dingtalk_app_client_secret=secret)
            self.save({**self.accepted, name: spec}, touched={name})

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: str) -> None:
        self.save({n: spec for n, spec in self.accepted.items() if n != name}, touched={name})

    @rule(name=st.sampled_from(NAMES))
    def break_one(self, name: str) -> None:
        """The file's entry of ``name`` is wrong: it keeps running as it is."""
        if name not in self.accepted:
            return
        self.settle()
        before = self.connections()
        self.fleet.apply([s for n, s in self.accepted.items() if n != name], [name])
        self.settle()
        assert self.connections() == before
        self.fleet.apply(self.accepted.values())

    @rule(name=st.sampled_from(NAMES))
    def save_again(self, name: str) -> None:
        del name
        self.save(dict(self.accepted), touched=set())

    @rule(name=st.sampled_from(NAMES))
    def crash(self, name: str) -> None:
        self.settle()
        for channel in self.world.connected(f"ding-{name}"):
            before = len(self.world.channels[f"ding-{name}"])
            channel.loop.call_soon_threadsafe(channel.dying.set)
            self.until(
                lambda: len(self.world.channels[f"ding-{name}"]) > before,  # noqa: B023
                "the dead bot is started again",
            )

    @rule(name=st.sampled_from(NAMES))
    def ask(self, name: str) -> None:
        channels = self.world.connected(f"ding-{name}")
        if not channels:
            return
        number = next(self.serials)
        said = message(number, chat=replace(message(0).chat, id=f"chat-{number}"))
        future = asyncio.run_coroutine_threadsafe(channels[-1].say(said), channels[-1].loop)
        future.result(5)
        self.said.append((f"ding-{name}", said.id))

    # -- what must hold

    @invariant()
    def running_bots_are_the_accepted_bots(self) -> None:
        if not hasattr(self, "fleet"):
            return
        names = {bot.name for bot in self.fleet.snapshots() if bot.state != "draining"}
        assert names == set(self.accepted)

    # -- how

    def save(self, specs: dict[str, BotSpec], touched: set[str]) -> None:
        self.settle()
        before = self.connections()
        self.fleet.apply(specs.values())
        self.accepted = specs
        self.settle()
        after = self.connections()
        for name in NAMES:
            if name not in touched:
                assert after.get(f"ding-{name}") == before.get(f"ding-{name}"), name

    def connections(self) -> dict[str, int]:
        return {client_id: len(channels) for client_id, channels in self.world.channels.items()}

    def settle(self) -> None:
        """Every bot is connected by its newest good credentials, every leaving one has left."""

        def settled() -> bool:
            snapshots = self.fleet.snapshots()
            calm = all(bot.state in {"connected", "bad_credentials"} for bot in snapshots)
            idle = all(not bot.turns.in_flight and not bot.turns.waiting for bot in snapshots)
            right = all(self.arrived(spec) for spec in self.accepted.values())
            alone = all(len(self.world.connected(each)) <= 1 for each in self.world.channels)
            return calm and idle and right and alone and not self.fleet._leaving

        self.until(settled, "the fleet settles")

    def arrived(self, spec: BotSpec) -> bool:
        """The newest credentials are connected, or known to be wrong."""
        tried = [
            channel
            for channel in self.world.channels.get(spec.dingtalk_app_client_id, ())
            if channel.spec.credentials == spec.credentials
        ]
        wrong = spec.dingtalk_app_client_secret.startswith("wrong")
        return any(channel.open or wrong for channel in tried)

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, (what, self.fleet.snapshots())
            self.fleet.check()
            time.sleep(0.002)


TestFleetMachine = FleetMachine.TestCase


def test_a_crash_while_a_wrong_secret_is_pending_goes_back_to_the_one_that_worked() -> None:
    machine = FleetMachine()
    machine.begin()
    machine.add_or_change_live("a", 1)
    machine.change_secret("a", wrong=True)
    machine.crash("a")
    machine.until(lambda: len(machine.world.connected("ding-a")) == 1, "it serves again")
    machine.ask("a")
    assert len(machine.said) == 1
    machine.teardown()
