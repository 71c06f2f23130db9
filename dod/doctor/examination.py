"""The whole examination, in the order of cause: the host, the ways out, then each bot."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dod.config.load import Loaded
from dod.config.spec import BotSpec
from dod.dify.probe import Probe as DifyProbe
from dod.dingtalk.probe import Probe as DingTalkProbe
from dod.doctor import app, channel, host
from dod.doctor.findings import Said, Section
from dod.doctor.neighbours import SEE_ABOVE, Neighbours
from dod.doctor.state import look_at_state
from dod.lookups import Lookups

_LOOKUPS = 8  # names that are looked up at once; some may hang


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds: ``within`` for each call, ``whole`` for all. ``at_once``: bots side by side."""

    within: float = 10.0
    whole: float = 90.0
    at_once: int = 4


class Examination:
    """Lifecycle: ``run`` once. Thread: main. Nothing is written, no lock is taken.

    ``bots``: whom to examine; ``wrong``: those of them that the configuration has wrong.
    ``show`` is given each section when it is complete, the host's first, bots in their order.
    """

    def __init__(
        self,
        loaded: Loaded,
        environ: Mapping[str, str],
        bots: Sequence[BotSpec],
        wrong: Sequence[str],
        show: Callable[[Section], None],
        *,
        bounds: Bounds,
    ) -> None:
        self._loaded = loaded
        self._environ = environ
        self._bots = bots
        self._wrong = wrong
        self._show = show
        self._bounds = bounds
        self._neighbours = Neighbours(
            loaded.environment.openapi_endpoint, (spec.dify_api_url for spec in bots)
        )
        self._status: dict[str, Any] | None = None
        self._deadline = 0.0

    def run(self) -> None:
        section = Section()
        host.look_at_configuration(self._loaded, section)
        host.look_at_data(self._loaded.environment.data_dir, section)
        host.look_at_authorities(self._environ, section)
        self._status = host.ask_running(self._loaded, section)
        asyncio.run(self._look(section))

    async def _look(self, section: Section) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(Lookups(_LOOKUPS, "dns"))
        self._deadline = loop.time() + self._bounds.whole
        host.look_at_proxies(self._neighbours.urls, section)
        await self._neighbours.look(section, within=self._bounds.within)
        self._show(section)
        for name in self._wrong:
            section = Section(name)
            section.tell("configuration", "failed", _WRONG, host.CHECK)
            self._show(section)
        room = asyncio.Semaphore(self._bounds.at_once)
        looking = [asyncio.create_task(self._look_at(spec, room)) for spec in self._bots]
        for one in looking:
            self._show(await one)

    async def _look_at(self, spec: BotSpec, room: asyncio.Semaphore) -> Section:
        """Both sides at once; what was found until the deadline."""
        section, ours, theirs = Section(spec.name), Section(), Section()
        look_at_state(spec, self._status, section)
        late = False
        try:
            async with asyncio.timeout_at(self._deadline), room:
                await asyncio.gather(
                    self._look_at_channel(spec, ours), self._look_at_app(spec, theirs)
                )
        except TimeoutError:
            late = True
        section.findings += [*ours.findings, *theirs.findings]
        section.calls = ours.calls
        if late:
            section.tell("time", "warning", _OUT_OF_TIME, _AGAIN)
        return section

    async def _look_at_channel(self, spec: BotSpec, section: Section) -> None:
        openapi = self._loaded.environment.openapi_endpoint
        if not self._neighbours.reached(openapi):
            section.skip(SEE_ABOVE, *channel.ALL)
            return
        client_id, client_secret = spec.credentials
        within = self._bounds.within
        probe = DingTalkProbe(
            client_id=client_id, client_secret=client_secret, openapi=openapi, within=within
        )
        try:
            await channel.ChannelCheck(spec, probe, section, within=within).run()
        finally:
            section.calls = probe.calls
            await probe.aclose()

    async def _look_at_app(self, spec: BotSpec, section: Section) -> None:
        if not self._neighbours.reached(spec.dify_api_url):
            section.skip(SEE_ABOVE, *app.ALL)
            return
        probe = DifyProbe(
            url=spec.dify_api_url, key=spec.dify_app_api_key, within=self._bounds.within
        )
        try:
            await app.look_at_app(spec, probe, section)
        finally:
            await probe.aclose()


# -- the sentences
_WRONG = Said(
    "配置里有错误，没有往下查。", "Its configuration has errors; nothing else was looked at."
)
_OUT_OF_TIME = Said(
    "时间到了，这个机器人没有查完。", "The time is over; not all of this bot was looked at."
)
_AGAIN = Said("只查这一个：dod doctor 机器人名。", "Look at this one alone: dod doctor NAME.")
