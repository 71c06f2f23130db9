"""Everything that can go wrong with a neighbour or a file, as one tree.

DodError
├── DingTalkError
│   ├── BadCredentials    wrong AppKey or AppSecret; only a person can help
│   ├── AppNotReady       app unpublished, robot ability off, or not in Stream mode
│   ├── ScopeMissing      a permission point is missing; ``scopes`` names it
│   ├── Throttled         too many calls this second (or minute)
│   ├── QuotaExhausted    the organisation's monthly calls are used up
│   ├── AddressRefused    this host's address is not in the white list, or is banned
│   ├── CardGone          the card does not exist (any more)
│   ├── FileGone          a file's downloadCode is wrong or has expired
│   ├── ContentTooLong    the text is longer than the card takes
│   ├── FileRefused       a file's type or size is not what DingTalk takes
│   ├── Undeliverable     DingTalk said 200, but the person or group was not reached
│   └── DingTalkBusy      5xx, HTML, time-out, no connection
├── DifyError             ``key`` tells which sentence; see dify-api §9
│   ├── FileNotTaken      Dify does not take this file; ``key`` tells why
│   ├── ConversationGone  Dify has forgotten the conversation
│   └── AnswerCut         the stream ended, or fell silent, without its terminal event
└── StoreError            the disk cache cannot be opened

Every error answers two questions: which sentence may a person read (``key``, in ``texts.py``),
and can waiting help (``retry``)? What is in ``detail`` goes to the log only.
"""


class DodError(Exception):
    """Base of all. ``key`` names a sentence in ``texts.py``; ``retry``: trying later can help."""

    key = "internal"
    retry = False

    def __init__(
        self,
        detail: str = "",
        *,
        key: str | None = None,
        retry: bool | None = None,
        code: str = "",
        status: int = 0,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status
        if key is not None:
            self.key = key
        if retry is not None:
            self.retry = retry

    def __str__(self) -> str:
        where = " ".join(part for part in (str(self.status or ""), self.code) if part)
        return f"{type(self).__name__}({where}) {self.detail}".strip()


class DingTalkError(DodError):
    """DingTalk refused, or could not be reached. ``not_done``: the call certainly had no effect."""

    key = "dingtalk"
    not_done = False


class BadCredentials(DingTalkError):
    key = "dingtalk_credentials"


class AppNotReady(DingTalkError):
    key = "dingtalk_app_not_ready"


class ScopeMissing(DingTalkError):
    """``scopes``: the permission points that DingTalk asks for, e.g. ``Card.Streaming.Write``."""

    key = "dingtalk_scope"

    def __init__(self, detail: str = "", *, scopes: tuple[str, ...] = (), **rest: object) -> None:
        super().__init__(detail, **rest)  # type: ignore[arg-type]
        self.scopes = scopes


class Throttled(DingTalkError):
    key = "dingtalk_busy"
    retry = True


class QuotaExhausted(DingTalkError):
    key = "dingtalk_quota"


class AddressRefused(DingTalkError):
    key = "dingtalk_address"


class CardGone(DingTalkError):
    pass


class FileGone(DingTalkError):
    key = "file_gone"


class ContentTooLong(DingTalkError):
    pass


class FileRefused(DingTalkError):
    pass


class Undeliverable(DingTalkError):
    """Nobody was reached: there is nothing of which it is unknown whether it arrived."""

    not_done = True


class DingTalkBusy(DingTalkError):
    key = "dingtalk_busy"
    retry = True


class DifyError(DodError):
    """Dify refused, failed, or could not be reached."""

    key = "dify"


class FileNotTaken(DifyError):
    key = "file_refused"


class ConversationGone(DifyError):
    key = "dify_conversation"


class AnswerCut(DifyError):
    key = "dify_cut"


class StoreError(DodError):
    """The disk cache cannot be opened; the store falls back on memory."""

    key = "store"
