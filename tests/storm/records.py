"""What the simulators saw: every message, card and reply, also of cards that vanished since."""

from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.world import SimCard, SimEvent, SimMessage, SimReply
from tests.storm.cast import Bot


class Records:
    """Thread: written on the simulators' loop; lists and dicts only grow."""

    def __init__(self, dingtalk: SimDingTalk) -> None:
        self.messages: list[SimMessage] = []
        self.bots: dict[str, Bot] = {}  # by message id
        self.cards: dict[str, SimCard] = {}  # by outTrackId
        self.replies: list[SimReply] = []
        self.forgotten: set[str] = set()  # conversations that Dify lost
        dingtalk.subscribe(self._hear)

    def _hear(self, event: SimEvent) -> None:
        match event.kind:
            case "message":
                self.messages.append(event.subject)
            case "card":
                self.cards[event.subject.id] = event.subject
            case "reply":
                self.replies.append(event.subject)
            case _:
                pass
