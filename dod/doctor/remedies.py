"""What is said of each failure, and what to do about it: by the kind of error, both languages."""

from typing import NamedTuple

from dod.doctor.findings import NOTHING, Said
from dod.errors import (
    AddressRefused,
    AppNotReady,
    BadCredentials,
    DifyError,
    DingTalkBusy,
    DingTalkError,
    QuotaExhausted,
    ScopeMissing,
    Throttled,
)


class Remedy(NamedTuple):
    """``detail``: the neighbour's own words."""

    said: Said
    fix: Said = NOTHING
    detail: str = ""


def of_dingtalk(error: DingTalkError) -> Remedy:
    """What DingTalk's refusal means, for the person who runs the bot."""
    # Where nobody knows better the whole story is told; our own sentences tell the others.
    remedy = _dingtalk(error)
    unsure = remedy in {_BY_KIND[DingTalkError], _BY_KIND[DingTalkBusy]} or not error.status
    detail = error.detail if unsure else f"HTTP {error.status} {error.code}".strip()
    return remedy._replace(detail=detail)


def _dingtalk(error: DingTalkError) -> Remedy:
    if isinstance(error, ScopeMissing):
        names = ", ".join(error.scopes) or "?"
        return Remedy(
            Said(f"应用缺少权限：{names}", f"The app lacks a permission: {names}"),
            Said(
                f"钉钉开发者后台 → 这个应用 → 权限管理：搜索 {names} 并开通。",
                f"DingTalk developer console → this app → permissions: find {names} and grant it.",
            ),
        )
    for part, remedy in _BY_CODE.items():
        if part in error.code.lower():
            return remedy
    kinds = (kind for kind in type(error).__mro__ if kind in _BY_KIND)
    return _BY_KIND[next(kinds)]


_BY_CODE = {
    "templatenotexist": Remedy(
        Said(
            "钉钉不认识 dingtalk_ai_card_template_id 里的卡片模板。",
            "DingTalk does not know the card template of dingtalk_ai_card_template_id.",
        ),
        Said(
            "在钉钉卡片平台里复制模板 ID（以 .schema 结尾；"
            "模板要关联这个应用）；或删掉这一项，改用钉钉的公共模板。",
            "Copy the template's ID in DingTalk's card platform (it ends in .schema, and the "
            "template must belong to this app); or delete "
            "the key: DingTalk's public one is used.",
        ),
    ),
    "templateunpublished": Remedy(
        Said("卡片模板还没有发布。", "The card template is not published."),
        Said(
            "在钉钉卡片平台里打开这个模板，点“发布”。",
            "Open the template in DingTalk's card platform and publish it.",
        ),
    ),
}
_BY_KIND: dict[type, Remedy] = {
    BadCredentials: Remedy(
        Said(
            "钉钉不接受这一对 Client ID 和 Client Secret。",
            "DingTalk does not accept this Client ID with this Client Secret.",
        ),
        Said(
            "钉钉开发者后台 → 这个应用 → 凭证与基础信息："
            "重新复制这两个值（Secret 重置过就用新的），保存配置文件。",
            "DingTalk developer console → this app → "
            "credentials and basic information: copy both "
            "again (the new secret, if it was reset), and save the file.",
        ),
    ),
    AppNotReady: Remedy(
        Said(
            "应用还没有发布、没有添加机器人，或者机器人不是 Stream 模式。",
            "The app is not published, has no robot, or the robot is not in Stream mode.",
        ),
        Said(
            "钉钉开发者后台 → 这个应用 → 机器人：消息接收模式选“Stream "
            "模式”；再到“版本管理与发布”发布一个版本。",
            "DingTalk developer console → this app → robot: set the message receiving mode to "
            "Stream mode; then publish a version of the app.",
        ),
    ),
    AddressRefused: Remedy(
        Said(
            "钉钉（或途中的防火墙）拒绝了本机的出口 IP。",
            "DingTalk, or a firewall on the way, refuses this host's public address.",
        ),
        Said(
            "钉钉开发者后台 → 这个应用 → 服务器出口 IP：加上本机的公网 "
            "IP，或清空白名单。调用太密被封的话，五分钟后自动解除。",
            "DingTalk developer console → this app → server addresses: add this host's public "
            "address, or empty the list. A ban for too many calls ends after five minutes.",
        ),
    ),
    QuotaExhausted: Remedy(
        Said(
            "本组织本月的钉钉 API 调用次数已经用完。",
            "The organisation's DingTalk API calls of this month are used up.",
        ),
        Said(
            "在钉钉管理后台购买更多，或等到下个月；其间 dod 尽量用不计次数的普通消息回答。",
            "Buy more in DingTalk's admin console, or wait for the next month; until then dod "
            "answers by plain messages where it can, which cost no calls.",
        ),
    ),
    Throttled: Remedy(
        Said("钉钉正在限制这个应用的调用频率。", "DingTalk is throttling this app's calls."),
        Said("过一分钟再运行一次 dod doctor。", "Run dod doctor again in a minute."),
    ),
    DingTalkBusy: Remedy(
        Said("钉钉没有给出正常的应答。", "DingTalk gave no proper answer."),
        Said(
            "过几分钟再试；一直这样的话，检查代理、防火墙，以及 "
            "DINGTALK_OPENAPI_ENDPOINT（如果设过）。",
            "Try again in some minutes; if it stays so, look at the proxy, the firewall, and "
            "DINGTALK_OPENAPI_ENDPOINT, if you have set it.",
        ),
    ),
    DingTalkError: Remedy(
        Said("钉钉拒绝了这次调用。", "DingTalk refused the call."),
        Said("原因见上面括号里钉钉自己的话。", "DingTalk's own words above, in brackets, say why."),
    ),
}


def of_dify(error: DifyError) -> Remedy:
    """What Dify's refusal means, for the person who runs the bot."""
    status = f"HTTP {error.status}" if error.status else ""
    page = error.detail.startswith("<")
    said = "HTML" if page else error.detail
    words = " ".join(part for part in (status, error.code, said) if part)
    remedy = _BY_KEY.get(error.key, _BY_KEY["dify"])
    # Dify's API sends no pages, and has all that is asked for here.
    if remedy is _BY_KEY["dify"] and (page or error.status == 404):
        remedy = _BY_KEY["dify_not_found"]
    return remedy._replace(detail=words[:_LONGEST])


_LONGEST = 200  # characters; a gateway's page is long
_BY_KEY = {
    "dify_key": Remedy(
        Said("Dify 不接受 dify_app_api_key。", "Dify does not accept dify_app_api_key."),
        Said(
            "Dify → 这个应用 → 访问 API → API 密钥：复制一个（以 app- "
            "开头）。有几个 Dify 时，看 dify_api_url 是不是另一个的。",
            "Dify → the app → API access → API keys: "
            "copy one (it begins with app-). With several "
            "Difys: is dify_api_url that of another one?",
        ),
    ),
    "dify_api_off": Remedy(
        Said("这个 Dify 应用的 API 访问关掉了。", "API access of this Dify app is switched off."),
        Said(
            "Dify → 这个应用 → 概览（监测）→ 后端服务 API：打开开关。",
            "Dify → the app → overview → backend service API: switch it on.",
        ),
    ),
    "dify_app_broken": Remedy(
        Said(
            "这个 Dify 应用没有发布过，或者还没有配置好。",
            "This Dify app was never published, or is not set up.",
        ),
        Said(
            "在 Dify 里打开这个应用，选好模型，点“发布”。",
            "Open the app in Dify, choose its model, and publish it.",
        ),
    ),
    "dify_not_found": Remedy(
        Said(
            "dify_api_url 那里应答的不是 Dify 的 API。",
            "What answers at dify_api_url is not Dify's API.",
        ),
        Said(
            "照抄 Dify“访问 API”页面上的地址，例如 "
            "http://192.168.1.20/v1（以 /v1 结尾，不是控制台的地址；http:// 和 https:// 不能混）。",
            "Copy the address that Dify's API access page shows, e.g. http://192.168.1.20/v1: it "
            "ends in /v1, and is not the console's; http:// is not https://.",
        ),
    ),
    "dify_proxy": Remedy(
        Said(
            "Dify 前面的代理、网关或防火墙拒绝了请求。",
            "A proxy, gateway or firewall in front of Dify refused the request.",
        ),
        Said(
            "让它放行 dify_api_url；Dify 在内网的话，把它的主机名加进 NO_PROXY。",
            "Let it pass dify_api_url; if Dify stands in your own network, add its host to "
            "NO_PROXY.",
        ),
    ),
    "dify_gateway": Remedy(
        Said(
            "Dify 前面的网关（nginx）在，Dify 自己没有应答。",
            "The gateway (nginx) in front of Dify is there, Dify itself does not answer.",
        ),
        Said(
            "Dify 可能正在启动或升级；在 Dify 那台机器上看 docker compose ps 和 api 容器的日志。",
            "Dify may be starting or being updated; on "
            "its host, look at docker compose ps and the "
            "log of the api container.",
        ),
    ),
    "dify_internal": Remedy(
        Said("Dify 内部出错了。", "Dify had an internal error."),
        Said("看 Dify 的 api 容器的日志。", "Look at the log of Dify's api container."),
    ),
    "dify_timeout": Remedy(
        Said("Dify 接了连接，但没有应答。", "Dify took the connection and did not answer."),
        Said(
            "看 Dify 的 api 容器是不是卡住了或太忙；过一会儿再试。",
            "See whether Dify's api container is stuck or overloaded; try again later.",
        ),
    ),
    "dify": Remedy(
        Said("Dify 没有给出正常的应答。", "Dify gave no proper answer."),
        Said(
            "原因见上面括号里 Dify 自己的话；过一会儿再试。",
            "Dify's own words above, in brackets, say why; try again later.",
        ),
    ),
}
