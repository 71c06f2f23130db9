"""What ``dod migrate`` says of what it moved, and of what it left."""

from dod.config.credentials import conceal
from dod.config.environment import Unfit
from dod.config.source import Remark

FORK = Remark(
    "这是用 Redis 的分支版：它传给 Dify 的 5 个变量写进了 defaults.dify_inputs。",
    "This is the fork that uses Redis: the five inputs it gives to Dify are in "
    "defaults.dify_inputs.",
)
REDIS = Remark(
    "REDIS_* 和 APP_NAME 没有对应项：dod 把对话存在自己的数据文件夹里，不需要 Redis。"
    "旧对话不会带过来，每个人的下一个问题会开始新对话。",
    "REDIS_* and APP_NAME have no counterpart: dod keeps conversations in its own data folder and "
    "needs no Redis. Old conversations stay there; everybody's next question begins a new one.",
)
NEVER_FORGOT = Remark(
    "DIFY_CONVERSATION_REMAIN_TIME 在分支版里不起作用（从不忘记），dod 默认也从不忘记，没有写。",
    "DIFY_CONVERSATION_REMAIN_TIME has no effect in the fork, which never forgets; nor does dod by "
    "default, so it is left out.",
)
NO_MEMORY = Remark(
    "DIFY_CONVERSATION_REMAIN_TIME=0 原来是没有上下文，dod 没有对应项；写成了最接近的 1 分钟。",
    "DIFY_CONVERSATION_REMAIN_TIME=0 meant no memory at all, which dod has not; the nearest is 1 "
    "minute.",
)


def became(name: str, key: str) -> Remark:
    return Remark(f"{name} 写成了 {key}。", f"{name} is {key} now.")


def login(name: str) -> Remark:
    return Remark(
        f"{name} 里有登录信息（@ 之前的部分），整个地址放进了 secrets.yaml。",
        f"{name} holds a login (before the @): the whole address is in secrets.yaml.",
    )


def login_of(bot: str) -> Remark:
    shown = conceal(bot)
    return Remark(
        f"机器人 {shown}：Dify 的地址里有登录信息，整个地址放进了 secrets.yaml。",
        f"Bot {shown}: the address of Dify holds a login; all of it is in secrets.yaml.",
    )


def as_default(name: str) -> Remark:
    return Remark(
        f"{name} 与 dod 的默认值相同，不用写。", f"{name} is what dod does anyway: left out."
    )


def every_bot_says(name: str, key: str) -> Remark:
    return Remark(
        f"{name} 不用写：每个机器人都自己写了 {key}。",
        f"{name} is left out: every bot says its own {key}.",
    )


def unfilled(name: str) -> Remark:
    what = (
        ("，用钉钉公共 AI 卡片", ": DingTalk's public AI card is used")
        if name == "DINGTALK_AI_CARD_TEMPLATE_ID"
        else ("，没有写", ": left out")
    )
    return Remark(
        f"{name} 没有填写（<…>）{what[0]}。", f"{name} was never filled in (<…>){what[1]}."
    )


def unfit(name: str, exc: Unfit) -> Remark:
    return Remark(
        f"旧的 {name} {exc.zh}；先在 .env 里改好再搬，什么都没有写。",
        f"The old {name} {exc.en}; correct it in .env first. Nothing was written.",
    )


def no_minutes(value: str) -> Remark:
    shown = conceal(value[:20])
    return Remark(
        f"旧的 DIFY_CONVERSATION_REMAIN_TIME 不是分钟数（{shown}）；先在 .env 里改好再搬，"
        "什么都没有写。",
        f"The old DIFY_CONVERSATION_REMAIN_TIME is no number of minutes ({shown}); correct it in "
        ".env first. Nothing was written.",
    )


def log_level(level: str) -> Remark:
    shown = conceal(level[:20])
    return Remark(
        f"LOG_LEVEL={shown} 不属于 bots.yaml：请设为 dod 容器的环境变量。",
        f"LOG_LEVEL={shown} has no place in bots.yaml: set it as an environment variable of dod.",
    )


def no_counterpart(names: list[str]) -> Remark:
    listed = ", ".join(map(conceal, names[:10]))
    return Remark(
        f"没有对应项，没有写：{listed}。"
        "如果是给进程用的（代理、时区），请设为 dod 容器的环境变量。",
        f"No counterpart, left out: {listed}. If it is for the process (a proxy, the time zone), "
        "set it as an environment variable of dod.",
    )


def not_read(places: tuple[str, ...]) -> Remark:
    listed = ", ".join(places[:10])
    return Remark(f"读不懂，没有用：{listed}。", f"Could not be read, not used: {listed}.")


def left_out(bot: str, key: str, meant: str) -> Remark:
    name, shown = conceal(bot), conceal(key[:60])
    return Remark(
        f"机器人 {name}：“{shown}” 原来就不起作用，没有写。"
        + (f"是不是想写 {meant}？" if meant else ""),
        f"Bot {name}: '{shown}' had no effect before either and is left out."
        + (f" Did you mean '{meant}'?" if meant else ""),
    )


def hidden_comments(count: int) -> Remark:
    return Remark(
        f"{count} 行注释里可能有密钥（例如注释掉的机器人），没有带过来，仍在旧文件里。",
        f"{count} lines of comments may hold secrets (a bot that is commented out, perhaps): they "
        "are not taken along and stay in the old file.",
    )
