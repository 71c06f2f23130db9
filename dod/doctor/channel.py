"""A bot's DingTalk side: credentials, stream mode, template, scopes, in the order of cause."""

from collections.abc import Awaitable
from urllib.parse import urlsplit, urlunsplit

from dod import reach
from dod.config.spec import BotSpec
from dod.dingtalk.probe import Probe
from dod.doctor import remedies
from dod.doctor.findings import NOTHING, Finding, Outcome, Said, Section
from dod.doctor.obstacles import of_obstacle
from dod.errors import AppNotReady, BadCredentials, DingTalkBusy, DingTalkError, ScopeMissing

_AFTER = Said("要先解决上面的失败。", "What failed above comes first.")
_NO_CARDS = Said(
    "这个机器人不用卡片（DifyMarkdownBotHandler）。",
    "This bot uses no cards (DifyMarkdownBotHandler).",
)
_NAMES_NONE = Said(
    "钉钉没有说缺权限；没有真的发", "DingTalk names no missing permission; nothing was really sent"
)
ALL = ("credentials", "stream", "websocket", "card", "typing", "sending")
# Connected, and then nothing for who has no ticket: that is all one wants to know.
_THERE = frozenset({"mute", "broken"})


class ChannelCheck:
    """Lifecycle: ``run`` once. Its findings go to ``section``."""

    def __init__(self, spec: BotSpec, probe: Probe, section: Section, *, within: float) -> None:
        self._spec = spec
        self._probe = probe
        self._section = section
        self._within = within
        self._endpoint = ""

    async def run(self) -> None:
        await self._ask()
        looked_at: list[Finding] = self._section.findings
        done = {finding.check for finding in looked_at}
        self._section.skip(_AFTER, *(check for check in ALL if check not in done))

    async def _ask(self) -> None:
        """Ends at the first failure that all the rest would share."""
        if await self._tell("credentials", self._probe.credentials()):
            return
        failure = await self._tell("stream", self._find_endpoint())
        if failure is None:
            await self._look_at_websocket()
        elif not isinstance(failure, AppNotReady):
            return
        else:
            self._section.skip(_AFTER, "websocket")
        if self._spec.handler == "DifyAiCardBotHandler":
            # Each by itself, so that all that is missing is told at once.
            style = self._spec.card_style
            if _ends(await self._tell("card", self._probe.card(style))):
                return
            said = NOTHING if style.public else _key(style.content_key)
            if _ends(await self._tell("typing", self._probe.typing(style), said)):
                return
        else:
            self._section.skip(_NO_CARDS, "card", "typing")
        # Answers go by card and webhook: this one is for what comes late, files, and the admins.
        await self._tell("sending", self._probe.sending(), _NAMES_NONE, scope="warning")

    async def _find_endpoint(self) -> None:
        self._endpoint = await self._probe.endpoint()
        try:
            reach.shown(self._endpoint)
        except ValueError as exc:
            raise DingTalkBusy("The websocket's address is not usable") from exc

    async def _look_at_websocket(self) -> None:
        """By a plain GET without the ticket, which can never become a connection."""
        parts = urlsplit(self._endpoint)
        scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
        url = urlunsplit((scheme, parts.netloc, parts.path, "", ""))
        host = reach.shown(url)
        try:
            await reach.knock(url, within=self._within)
        except reach.Unreached as unreached:
            if unreached.obstacle not in _THERE:
                self._section.tell("websocket", "failed", *of_obstacle(unreached, url))
                return
        self._section.tell("websocket", "ok", Said(host, host))

    async def _tell(
        self,
        check: str,
        call: Awaitable[None],
        said: Said = NOTHING,
        *,
        scope: Outcome = "failed",
    ) -> DingTalkError | None:
        try:
            await call
        except DingTalkError as error:
            outcome: Outcome = scope if isinstance(error, ScopeMissing) else "failed"
            self._section.tell(check, outcome, *remedies.of_dingtalk(error))
            return error
        self._section.tell(check, "ok", said)
        return None


def _ends(failure: DingTalkError | None) -> bool:
    """Whether what comes next would fail for the same reason."""
    if failure is None or isinstance(failure, ScopeMissing):
        return False
    return isinstance(failure, BadCredentials) or type(failure) is not DingTalkError


def _key(key: str) -> Said:
    return Said(
        f"变量 {key} 是不是模板里的那个，只有真的卡片才看得出",
        f"whether {key} is the template's variable only a real card shows",
    )
