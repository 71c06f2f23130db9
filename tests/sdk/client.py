"""A bot on the official Python SDK; run by test_python_sdk as a process of its own."""

import os

import dingtalk_stream  # type: ignore[import-untyped]
from dingtalk_stream.card_instance import AIMarkdownCardInstance  # type: ignore[import-untyped]
from dingtalk_stream.card_replier import AICardReplier  # type: ignore[import-untyped]


class Bot(dingtalk_stream.ChatbotHandler):  # type: ignore[misc]
    async def process(self, callback: dingtalk_stream.CallbackMessage) -> tuple[int, str]:
        message = dingtalk_stream.ChatbotMessage.from_dict(callback.data)
        text = message.text.content.strip()
        if text == "webhook":
            self.reply_text(f"heard: {text}", message)
        elif text == "card":
            await self.type_on_card(message)
        elif text == "public":
            card = AIMarkdownCardInstance(self.dingtalk_client, message)
            card.ai_start()
            card.ai_streaming("public", append=False)
            card.ai_finish("public text")
        return dingtalk_stream.AckMessage.STATUS_OK, "OK"

    async def type_on_card(self, message: dingtalk_stream.ChatbotMessage) -> None:
        card = AICardReplier(self.dingtalk_client, message)
        card_id = await card.async_start(os.environ["BOT_TEMPLATE"], {"content": ""})
        texts = ["one", "one two", "one two three"]
        for text in texts:
            last = text == texts[-1]
            await card.async_streaming(
                card_id, "content", text, append=False, finished=last, failed=False
            )


credential = dingtalk_stream.Credential(
    os.environ["BOT_CLIENT_ID"], os.environ["BOT_CLIENT_SECRET"]
)
client = dingtalk_stream.DingTalkStreamClient(credential)
client.register_callback_handler(dingtalk_stream.ChatbotMessage.TOPIC, Bot())
client.start_forever()
