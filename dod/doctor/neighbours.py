"""The ways to DingTalk and to each Dify, looked at once for all bots; and whose clock is wrong."""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

from dod import reach
from dod.doctor.findings import Said, Section
from dod.doctor.obstacles import of_obstacle

WRONG = 60.0  # seconds by which a clock may differ

SEE_ABOVE = Said("连不上，见上面。", "It cannot be reached, see above.")


class Neighbours:
    """Lifecycle: ``look`` → ``reached``, any number of times."""

    def __init__(self, openapi: str, difys: Iterable[str]) -> None:
        self._openapi = openapi
        by_host = {_origin(url): url for url in reversed(tuple(difys))}
        self._difys = dict(reversed(by_host.items()))
        self._lost: set[str] = set()  # origins
        self._ahead: dict[str, float] = {}  # url → seconds

    @property
    def urls(self) -> tuple[str, ...]:
        """One of each."""
        return (self._openapi, *self._difys.values())

    def reached(self, url: str) -> bool:
        return _origin(url) not in self._lost

    async def look(self, section: Section, *, within: float) -> None:
        """At all side by side. ``within``: seconds for the name, and again for the answer."""
        asked = [("dingtalk", self._openapi), *(("dify", url) for url in self._difys.values())]
        answers = await asyncio.gather(
            *(reach.knock(url, within=within) for _, url in asked), return_exceptions=True
        )
        for (check, url), answer in zip(asked, answers, strict=True):
            host = reach.shown(url)
            if isinstance(answer, reach.Unreached):
                self._lost.add(_origin(url))
                section.tell(check, "failed", *of_obstacle(answer, url))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                took = f"{host}, {answer.took * 1000:.0f} ms"
                section.tell(check, "ok", Said(took, took))
                if answer.ahead is not None:
                    self._ahead[url] = answer.ahead
        self._look_at_clocks(section)

    def _look_at_clocks(self, section: Section) -> None:
        """DingTalk's clock is right; where it tells none, one neighbour may be as wrong as we."""
        if not self._ahead:
            section.skip(Said("没有谁报出时间。", "Nobody told the time."), "clock")
            return
        wrong = {url: by for url, by in self._ahead.items() if abs(by) > WRONG}
        if not wrong:
            most = f"{max(map(abs, self._ahead.values())):.0f} s"
            section.tell("clock", "ok", Said(f"相差 {most}", f"{most} apart"))
            return
        ours = wrong.get(self._openapi)
        if self._openapi not in self._ahead and len(wrong) == len(self._ahead):
            ours = max(wrong.values(), key=abs)
        if ours is not None:
            section.tell("clock", "warning", _off("本机", "This host", -ours), _NTP)
            return
        hosts = {reach.shown(url): by for url, by in wrong.items()}
        each = [_off(host, host, by) for host, by in hosts.items()]
        said = Said("".join(it.zh for it in each), " ".join(it.en for it in each))
        names = ", ".join(hosts)
        fix = Said(
            f"校准 {names} 的时钟（NTP）：它签发的文件地址靠时钟判断有没有过期。",
            f"Set the clock of {names} (NTP): its links to files expire by it.",
        )
        section.tell("clock", "warning", said, fix)


def _off(zh: str, en: str, ahead: float) -> Said:
    seconds, fast = f"{abs(ahead):.0f}", ahead > 0
    return Said(
        f"{zh}的时钟{'快' if fast else '慢'}了 {seconds} 秒。",
        f"{en}: its clock is {seconds} s {'fast' if fast else 'slow'}.",
    )


_NTP = Said(
    "校准本机时间：在系统设置里打开网络对时（NTP）；容器用的是宿主机的时间。",
    "Set this host's clock: switch network time (NTP) on; a container has its host's.",
)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
