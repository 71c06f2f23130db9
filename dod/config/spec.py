"""What a valid configuration is: one frozen ``BotSpec`` per accepted bot, inside one ``Config``.

Field names are the keys of ``bots.yaml``; defaults here equal those of ``config.schema.json``
(a test proves it), except where the environment gives the default.
"""

from dataclasses import dataclass, field
from typing import Literal

from dod.messages import CardStyle

# DingTalk's own AI card: typing works before anybody has drawn a template (dingtalk-protocol §5).
PUBLIC_TEMPLATE_ID = "02fcf2f4-5e02-4a85-b672-46d1f715543e.schema"

AppType = Literal["chatbot", "completion", "workflow"]
Handler = Literal["DifyAiCardBotHandler", "DifyMarkdownBotHandler"]
CardUpdates = Literal["auto", "smooth", "balanced", "economical", "final"]
Thinking = Literal[False, True, "folded"]  # hidden, shown as a quote, one line that says so
Language = Literal["auto", "zh", "en"]

# One worker of the original was a blocked thread; here it is room for this many turns at once.
TURNS_PER_WORKER = 16


@dataclass(frozen=True, slots=True)
class Conversation:
    """``expire_minutes``: forget after that much silence; 0 = never."""

    group: Literal["per_user", "shared"] = "per_user"
    expire_minutes: int = 0


@dataclass(frozen=True, slots=True)
class Allow:
    """Staff ids and group ids that may ask; ``*`` = everybody."""

    users: tuple[str, ...] = ("*",)
    groups: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class Show:
    """What is shown besides the answer's text."""

    thinking: Thinking = False
    citations: bool = True
    suggestions: bool = True
    tools: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Questions per person; 0 = unlimited."""

    per_minute: int = 0
    per_day: int = 0


@dataclass(frozen=True, slots=True)
class BotSpec:
    """One entry of ``bots``: one DingTalk app bound to one Dify app."""

    name: str
    dingtalk_app_client_id: str
    dingtalk_app_client_secret: str = field(repr=False)
    dify_app_type: AppType
    dify_app_api_key: str = field(repr=False)
    handler: Handler = "DifyAiCardBotHandler"
    max_workers: int = 2
    enabled: bool = True
    dify_api_url: str = "https://api.dify.ai/v1"
    dify_inputs: tuple[tuple[str, str], ...] = ()
    dify_output: str = ""
    dify_timeout_seconds: int = 300
    dingtalk_ai_card_template_id: str = PUBLIC_TEMPLATE_ID
    dingtalk_ai_card_content_key: str = "msgContent"
    card_updates: CardUpdates = "auto"
    card_max_bytes: int = 9000
    answer_file_after_cards: int = 4
    conversation: Conversation = Conversation()
    allow: Allow = Allow()
    image_wait_seconds: int = 60
    greeting: str = ""
    show: Show = Show()
    limits: Limits = Limits()

    @property
    def credentials(self) -> tuple[str, str]:
        """Client id and secret: what cannot change without a new connection."""
        return self.dingtalk_app_client_id, self.dingtalk_app_client_secret

    @property
    def capacity(self) -> int:
        """How many turns run at once; further people wait and are told so."""
        return self.max_workers * TURNS_PER_WORKER

    @property
    def card_style(self) -> CardStyle:
        return CardStyle(
            self.dingtalk_ai_card_template_id,
            self.dingtalk_ai_card_content_key,
            public=self.dingtalk_ai_card_template_id == PUBLIC_TEMPLATE_ID,
        )


@dataclass(frozen=True, slots=True)
class Web:
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that ``bots.yaml`` says, with only the accepted bots in it.

    What runs has, in its own, also the bots that are kept as they were.
    """

    bots: tuple[BotSpec, ...] = ()
    admins: tuple[str, ...] = ()
    dingtalk_monthly_calls: int = 5000
    dingtalk_monthly_pushes: int = 3000
    dingtalk_qps: int = 18
    language: Language = "auto"
    web: Web = Web()
