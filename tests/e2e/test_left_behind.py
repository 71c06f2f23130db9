"""What a crash left is the business of the bot that runs, whatever the file says of it."""

import signal
from pathlib import Path

from dod.sim.dify.scripts import Answer
from dod.texts import say
from tests.e2e.rig import Rig, bot

IT, HR, GONE = bot("it"), bot("hr"), bot("gone")
RESTARTED = say("restarted", "en")


def test_a_bot_with_a_mistake_in_the_file_ends_its_answers_itself(tmp_path: Path) -> None:
    """It is kept as it was, and DingTalk lets it connect late: nobody else speaks for it."""
    with Rig(tmp_path, [IT, HR, GONE]) as rig:
        ann = rig.person()
        chats = {name: rig.single(ann, name) for name in ("hr", "gone")}
        for name, chat in chats.items():
            rig.dify.app(f"app-{name}-key-0123456789").answer = lambda *_: Answer(
                "word " * 400, interval=0.05
            )
            rig.say(chat, ann, "How long does it take?", bot=name)

        def typing() -> bool:
            cards = [card for chat in chats.values() for card in rig.cards(chat)]
            return len(cards) == 2 and all("word" in card.text for card in cards)

        rig.until(typing, "both are typed on")
        rig.kill(signal.SIGKILL)
        rig.wait_for_exit()
        rig.dingtalk.apps["ding-hr"].faults.gateway = "unavailable"
        rig.save(IT, {**HR, "handler": "DifyCardHandler"})
        rig.start(wait=False)
        assert RESTARTED in rig.reply(chats["gone"]).text  # nobody's: the first bot tells it
        rig.stays(lambda: not rig.replies(chats["hr"]), "the bot that is kept speaks itself", 0.5)
        rig.dingtalk.apps["ding-hr"].faults.gateway = ""
        assert RESTARTED in rig.answer(chats["hr"], seconds=60).text
        assert rig.replies(chats["hr"]) == []
