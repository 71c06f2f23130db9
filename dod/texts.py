"""Every sentence a person may read in DingTalk, Chinese and English side by side.

Each says what happened and what to do; no blame, no internals, no names of hosts or keys.
"""

from typing import Literal

Tongue = Literal["zh", "en"]

# by key, Chinese before English
SENTENCES: dict[str, tuple[str, str]] = {
    # -- while waiting, and what ends without an answer
    "waiting": (
        "需要排队：您提问时排在第 {place} 位，轮到后马上回答。",
        "This waits its turn: it was number {place} in the queue when you asked.",
    ),
    "empty_answer": (
        "应用这次没有给出任何内容。请换个问法再试一次。",
        "The app returned no content this time. Please try again in other words.",
    ),
    "stopped": ("（已停止）", "(stopped)"),
    "paused": (
        "流程停在一个需要人工填写的表单，在钉钉里填不了；请联系管理员到 Dify 处理。",
        "The workflow waits for a form that cannot be filled in here. "
        "Please ask your administrator to handle it in Dify.",
    ),
    "cut_off": ("⚠️ 回答没有写完：{reason}", "⚠️ The answer is incomplete: {reason}"),
    "failed": ("⚠️ {reason}", "⚠️ {reason}"),
    "restarted": (
        "服务在回答途中重启了。需要的话请再问一次。",
        "The service was restarted while answering. Please ask again if you still need it.",
    ),
    "shutting_down": (
        "服务正在停止或重启，请稍后再问一次。",
        "The service is stopping or restarting. Please ask again in a moment.",
    ),
    "answered_below": ("回答见下一条消息。", "The answer is in the next message."),
    # -- besides the answer
    "using_tool": ("🔧 正在使用 {name} …", "🔧 Using {name} …"),
    "at_node": ("⏳ 正在进行：{name} …", "⏳ {name} …"),
    "thinking": ("💭 正在思考 …", "💭 Thinking …"),
    "thought": ("💭 思考过程（{count} 字，已折叠）", "💭 Thinking ({count} characters, folded)"),
    "sources": ("**引用**", "**Sources**"),
    "more_sources": ("……另有 {count} 个来源", "… and {count} more"),
    "suggestions": (
        "**接下来可以问**（回复数字即可）",
        "**You could ask next** (reply with the number)",
    ),
    "withdrawn": ("（内容已撤回）", "(withdrawn)"),
    "rest_in_file": ("📄 回答较长，后续内容见下面的文件。", "📄 The rest is in the file below."),
    "rest_name": ("回答（续）", "answer (continued)"),
    "unconfirmed": (
        "⚠️ 钉钉没有确认上一条回复是否送达。如果没有看到，请再问一次。",
        "⚠️ DingTalk did not confirm that my last reply arrived. "
        "If you do not see it, please ask again.",
    ),
    # -- what cannot be answered
    "nothing_asked": (
        "您好，我在。请在 @我 后面写上问题。",
        "Hello, I am here. Please write your question after the @.",
    ),
    "only_text": (
        "我看不了{kind}。请把问题写成文字发给我。",
        "I cannot read {kind}. Please write your question as text.",
    ),
    # -- what comes beside text; {what} is a file's name or kind
    "look_at_this": ("请看我发的内容。", "Please look at what I have sent."),
    "kind_not_taken": (
        "这个机器人看不了{kind}。请把问题写成文字。",
        "This bot cannot read {kind}. Please write your question as text.",
    ),
    "extension_not_taken": (
        "这个机器人读不了 .{extension} 文件。请换一种格式，或把内容粘贴成文字。",
        "This bot cannot read .{extension} files. Please use another format, or paste the text.",
    ),
    "too_many_files": (
        "一次最多读 {most} 个附件，其余的没有读。",
        "Only {most} attachments are read at a time; the others were not.",
    ),
    "file_gone": (
        "“{what}”在钉钉里已经取不到了（可能过期），请重新发送。",
        "“{what}” can no longer be fetched from DingTalk (expired, perhaps). Please send it again.",
    ),
    "file_lost": (
        "“{what}”没能从钉钉取下来，请稍后重新发送。",
        "“{what}” could not be fetched from DingTalk. Please send it again later.",
    ),
    "file_empty": ("“{what}”是空的（0 字节）。", "“{what}” is empty (0 bytes)."),
    "file_no_picture": (
        "这张图片的格式认不出来，请换成 JPG 或 PNG 再发。",
        "The picture's format is not known. Please send it as JPG or PNG.",
    ),
    "file_too_large": (
        "“{what}”太大，最多 {limit} MB。",
        "“{what}” is too large: at most {limit} MB.",
    ),
    "file_too_large_for_dify": (
        "“{what}”超过了 Dify 允许的大小。请发小一点的，或请管理员放宽限制。",
        "“{what}” is larger than Dify allows. Send a smaller one, or ask your administrator.",
    ),
    "file_refused": (
        "Dify 不接受“{what}”。请换一个文件再试。",
        "Dify did not accept “{what}”. Please try another file.",
    ),
    # -- pictures and files of an answer
    "picture_gone": ("图片“{name}”没能取到", "picture “{name}” could not be fetched"),
    "picture_address": (
        "图片“{name}”的地址不允许访问",
        "picture “{name}” is at an address that is not allowed",
    ),
    "picture_too_large": ("“{name}”太大，没有显示", "“{name}” is too large to show"),
    "picture_empty": ("图片“{name}”是空的", "picture “{name}” is empty"),
    "picture_type": (
        "“{name}”的格式在钉钉里无法显示",
        "“{name}” is of a type that DingTalk cannot show",
    ),
    "picture_too_many": (
        "“{name}”没有显示：图片太多",
        "“{name}” is not shown: too many pictures",
    ),
    "address_hidden": ("文件地址已隐去", "the address of a file is left out"),
    "file_below": ("文件“{name}”见下一条消息", "file “{name}”: see the next message"),
    "file_not_heard": (
        "这段语音没听出内容。请再说一遍，或写成文字。",
        "No words were understood in this voice message. Please say it again, or write it.",
    ),
    "over_quota": (
        "本组织本月的钉钉消息推送额度已用完，我收不到您消息的内容。请联系管理员。",
        "Your organisation's DingTalk message quota for this month is used up, so the text of "
        "your message did not reach me. Please tell your administrator.",
    ),
    "too_old": (
        "这条消息晚了 {minutes} 分钟才送到。如果还需要回答，请再问一次。",
        "This message reached me {minutes} minutes late. Please ask again if you still need it.",
    ),
    "not_allowed": (
        "抱歉，您目前没有使用这个机器人的权限。需要的话请联系管理员。",
        "Sorry, you may not use this bot at present. Please ask your administrator.",
    ),
    "per_minute": (
        "您问得有点快：每分钟最多 {most} 个问题。请过 {seconds} 秒再问一次。",
        "That was a little fast: at most {most} questions a minute. "
        "Please ask again in {seconds} seconds.",
    ),
    "per_day": (
        "您今天的 {most} 个问题已经用完，明天可以继续问。需要更多的话请联系管理员。",
        "Your {most} questions for today are used up; you can go on tomorrow. "
        "Please ask your administrator if you need more.",
    ),
    # -- commands
    "new_conversation": (
        "好的，已开始新对话，之前的内容不再参考。",
        "Done: a new conversation has begun; what was said before is no longer considered.",
    ),
    "nothing_to_stop": ("现在没有正在生成的回答。", "There is no answer in progress."),
    "help_ask": ("直接提问即可。", "Just ask."),
    "help_ask_group": ("@我 并写上问题即可。", "@ me and write your question."),
    "help_send": ("也可以发给我：{kinds}。", "You can also send me: {kinds}."),
    "help_send_alone": (
        "在与我的单聊里还可以发：{kinds}（钉钉群里我收不到）。",
        "In a chat with me alone you can also send: {kinds} (in groups they do not reach me).",
    ),
    "help_new": (
        "`/new` 或 新对话：忘掉之前的内容，重新开始",
        "`/new`: forget what was said before and start over",
    ),
    "help_stop": ("`/stop` 或 停止：停止正在生成的回答", "`/stop`: stop the answer in progress"),
    "help_rate": (
        "`/good` 或 点赞、`/bad` 或 点踩：评价上一条回答，后面可以写原因",
        "`/good`, `/bad`: rate the last answer; you may add why",
    ),
    "help_id": (
        "`/id`：查看您和本会话的 ID（给管理员配置用）",
        "`/id`: show your id and this chat's (for the administrator)",
    ),
    "help_help": ("`/help` 或 帮助：显示本说明", "`/help`: this text"),
    # -- ratings and buttons
    "rated": ("已收到您的评价，谢谢！", "Thank you, your rating has been passed on."),
    "nothing_to_rate": ("还没有可以评价的回答。", "There is no answer to rate yet."),
    "rating_unknown": (
        "这个机器人的回答不能评价（Dify 工作流没有评价功能）。",
        "This bot's answers cannot be rated (Dify keeps no ratings for workflows).",
    ),
    "rating_gone": (
        "这条回答不能评价，或者已经太久了。",
        "This answer cannot be rated, or is too old to be.",
    ),
    "rating_not_yours": (
        "只有提问的人可以评价这条回答。",
        "Only the person who asked can rate this answer.",
    ),
    "stop_not_yours": (
        "只有提问的人或管理员可以停止这条回答。",
        "Only the person who asked, or an administrator, can stop this answer.",
    ),
    "id": (
        "- 您的 ID（staffId）：`{staff_id}`\n- 本会话 ID：`{chat_id}`\n- 会话类型：{chat_type}\n"
        "- 企业 ID：`{corp_id}`",
        "- Your id (staffId): `{staff_id}`\n- This chat's id: `{chat_id}`\n"
        "- Kind of chat: {chat_type}\n- Organisation: `{corp_id}`",
    ),
    "id_none": ("（无：企业外部人员或应用未发布）", "(none: outside the organisation)"),
    # -- DingTalk's failures, where one can still be said
    "dingtalk": (
        "钉钉接口返回了错误，请稍后再试。",
        "DingTalk reported an error. Try again later.",
    ),
    "dingtalk_busy": (
        "钉钉接口暂时繁忙，请稍后再试。",
        "DingTalk is busy at the moment. Please try again later.",
    ),
    "dingtalk_quota": (
        "本组织本月的钉钉接口调用额度已用完，请联系管理员。",
        "Your organisation's DingTalk calls for this month are used up. "
        "Please tell your administrator.",
    ),
    "dingtalk_credentials": (
        "机器人的钉钉凭证无效，请联系管理员检查 AppKey 和 AppSecret。",
        "The bot's DingTalk credentials are not valid. Please ask your administrator.",
    ),
    "dingtalk_app_not_ready": (
        "机器人应用还没有发布，或没有启用 Stream 模式，请联系管理员。",
        "The bot's app is not published or not in Stream mode. Please ask your administrator.",
    ),
    "dingtalk_scope": (
        "机器人缺少一项钉钉权限，请联系管理员在开发者后台开通。",
        "The bot lacks a DingTalk permission. Please ask your administrator to grant it.",
    ),
    "dingtalk_address": (
        "钉钉拒绝了本机的出口 IP，请联系管理员检查应用的 IP 白名单。",
        "DingTalk refuses this host's address. Please ask your administrator to check the "
        "app's IP white list.",
    ),
    # -- Dify's failures, one sentence each (dify-api §9)
    "dify": ("Dify 返回了错误，请稍后再试。", "Dify reported an error. Please try again later."),
    "dify_unreachable": (
        "连不上 Dify 服务，请稍后再试；一直这样请联系管理员。",
        "The Dify service cannot be reached. Try again later, or tell your administrator.",
    ),
    "dify_timeout": (
        "Dify 太久没有回应，这次先停在这里。请稍后再试。",
        "Dify has been silent for too long, so this answer ends here. Please try again later.",
    ),
    "dify_cut": (
        "与 Dify 的连接中途断开了。请再问一次。",
        "The connection to Dify broke off. Please ask again.",
    ),
    "dify_key": (
        "Dify 应用的 API 密钥无效，请联系管理员检查。",
        "The Dify app's API key is not valid. Please ask your administrator to check it.",
    ),
    "dify_api_off": (
        "这个 Dify 应用的 API 访问被关闭了，请联系管理员打开。",
        "API access of this Dify app is switched off. Please ask your administrator.",
    ),
    "dify_app_broken": (
        "这个 Dify 应用暂时不可用（可能还没有配置好），请联系管理员。",
        "This Dify app is not available (perhaps not set up yet). Please ask your administrator.",
    ),
    "dify_app_type": (
        "机器人配置的应用类型与 Dify 应用不一致，请联系管理员改正 dify_app_type。",
        "The configured app type does not match the Dify app. "
        "Please ask your administrator to correct dify_app_type.",
    ),
    "dify_unpublished": (
        "这个 Dify 工作流还没有发布，请联系管理员发布后再试。",
        "This Dify workflow has not been published yet. Please ask your administrator.",
    ),
    "dify_model_not_set": (
        "Dify 应用的模型还没有配置好，请联系管理员。",
        "The Dify app's model is not set up. Please ask your administrator.",
    ),
    "dify_model_quota": (
        "模型的额度用完了，请联系管理员充值或更换模型。",
        "The model's quota is used up. Please ask your administrator.",
    ),
    "dify_model_unsupported": (
        "Dify 目前不支持这个应用所选的模型，请联系管理员更换。",
        "Dify does not support this app's model at present. Please ask your administrator.",
    ),
    "dify_model_key": (
        "模型供应商拒绝了 Dify 的密钥，请联系管理员检查模型配置。",
        "The model provider refused Dify's key. Please ask your administrator.",
    ),
    "dify_model_failed": (
        "模型这次没能完成回答，请稍后再试。",
        "The model could not complete the answer this time. Please try again later.",
    ),
    "dify_model_busy": (
        "模型供应商限流了，请稍后再试。",
        "The model provider is limiting requests. Please try again in a moment.",
    ),
    "dify_question_too_long": (
        "问题（连同之前的对话）太长了。请缩短，或发送“新对话”后再问。",
        "The question (with the conversation so far) is too long. Shorten it, or send /new first.",
    ),
    "dify_input": (
        "Dify 应用要求的输入没有给全或格式不对，请联系管理员检查 dify_inputs。",
        "The Dify app's inputs are missing or malformed. "
        "Please ask your administrator to check dify_inputs.",
    ),
    "dify_bad_request": (
        "Dify 不接受这次请求，请联系管理员查看日志。",
        "Dify did not accept the request. Please ask your administrator to look at the log.",
    ),
    "dify_conversation": (
        "Dify 找不到之前的对话，也没能开始新的。请发送“新对话”后再问。",
        "Dify does not know the conversation and no new one began. Send /new, then ask again.",
    ),
    "dify_conversation_done": (
        "这个对话已经结束。请发送“新对话”后再问。",
        "This conversation has ended. Send /new, then ask again.",
    ),
    "dify_not_found": (
        "Dify 的接口地址不对，请联系管理员检查 dify_api_url（通常以 /v1 结尾）。",
        "The Dify address seems wrong. Please ask your administrator to check dify_api_url "
        "(it usually ends in /v1).",
    ),
    "dify_missing": (
        "这次请求用到的内容在 Dify 里已经不存在了。请发送“新对话”后再问。",
        "Something that this request refers to is no longer in Dify. Send /new, then ask again.",
    ),
    "dify_proxy": (
        "Dify 前面的代理或防火墙拒绝了请求，请联系管理员。",
        "A proxy or firewall in front of Dify refused the request. Please tell your administrator.",
    ),
    "dify_stopped": (
        "Dify 那边停止了这次回答（超过了时间上限，或有人在 Dify 里点了停止）。请再问一次。",
        "This answer was stopped in Dify (its time limit, or somebody there). Please ask again.",
    ),
    "dify_retrying": (
        "Dify 暂时接不了新问题（繁忙或正在重启），我在继续尝试，请稍候。",
        "Dify cannot take the question yet (busy or restarting). I keep trying; one moment, "
        "please.",
    ),
    "dify_input_too_long": (
        "内容超过了这个应用允许的字数，请缩短后再发。",
        "This is longer than the app accepts. Please shorten it and send it again.",
    ),
    "dify_input_option": (
        "dify_inputs 里有一个值不在 Dify 应用的选项之中，请联系管理员检查。",
        "A value in dify_inputs is none of the Dify app's options. "
        "Please ask your administrator to check it.",
    ),
    "dify_too_large": (
        "内容超过了 Dify 或它前面的网关允许的大小，请缩短后再发。",
        "This is larger than Dify, or the gateway in front of it, accepts. Please send less.",
    ),
    "dify_file_too_large": (
        "文件超过了 Dify 允许的大小，请发小一点的文件。",
        "The file is larger than Dify accepts. Please send a smaller one.",
    ),
    "dify_audio_too_large": (
        "语音超过了 Dify 允许的大小，请说短一点。",
        "The recording is larger than Dify accepts. Please send a shorter one.",
    ),
    "dify_unsupported_type": (
        "Dify 没有认出请求的格式（可能被中间的代理改动了），请联系管理员。",
        "Dify did not recognise the format of the request (a proxy may have changed it). "
        "Please tell your administrator.",
    ),
    "dify_file_type": (
        "这个 Dify 应用不接受这种文件，请换一种格式。",
        "This Dify app does not accept this type of file. Please send another format.",
    ),
    "dify_too_many_files": (
        "一次发的文件太多，超过了这个 Dify 应用的上限，请分几次发。",
        "These are more files than the Dify app takes at once. Please send fewer.",
    ),
    "dify_audio_type": (
        "Dify 不接受这种格式的语音，请改发文字。",
        "Dify does not accept this format of recording. Please send text instead.",
    ),
    "dify_overloaded": (
        "现在提问的人太多，Dify 应用达到了并发上限。请过一会儿再试。",
        "Too many people are asking: the Dify app has reached its limit. Please try again soon.",
    ),
    "dify_rate": (
        "Dify 工作区的请求额度用完了，请稍后再试或联系管理员。",
        "The Dify workspace has used up its request quota. Try later or ask your administrator.",
    ),
    "dify_internal": (
        "Dify 内部出错了，请稍后再试；一直这样请联系管理员。",
        "Dify had an internal error. Try again later, or tell your administrator.",
    ),
    "dify_gateway": (
        "Dify 前面的网关没有得到回应（可能正在启动或升级），请稍后再试。",
        "The gateway in front of Dify got no response (it may be starting). Try again later.",
    ),
    # -- ours
    "internal": (
        "我这里出了点问题，已记录在日志里。请稍后再试。",
        "Something went wrong on my side; it is in the log. Please try again later.",
    ),
    "store": ("本机存储暂时不可用。", "The local store is not available at the moment."),
}

KINDS: dict[str, tuple[str, str]] = {
    "picture": ("图片", "pictures"),
    "richText": ("图文混排消息", "messages with pictures"),
    "audio": ("语音", "voice messages"),
    "video": ("视频", "videos"),
    "file": ("文件", "files"),
}


def tongue(language: str, text: str) -> Tongue:
    """The language to answer ``text`` in. ``auto``: English only for a text without any CJK."""
    if language in {"zh", "en"}:
        return "zh" if language == "zh" else "en"
    if any("\u3400" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff" for char in text):
        return "zh"
    return "en" if sum(char.isascii() and char.isalpha() for char in text) > 4 else "zh"


def say(key: str, language: Tongue, **values: object) -> str:
    """The sentence ``key``; its placeholders are filled by plain substitution."""
    sentence = SENTENCES[key][0 if language == "zh" else 1]
    for name, value in values.items():
        sentence = sentence.replace("{" + name + "}", str(value))
    return sentence


def kind_of(kind: str, language: Tongue) -> str:
    """What a message of msgtype ``kind`` is called."""
    other = ("这种消息", "this kind of message")
    return KINDS.get(kind, other)[0 if language == "zh" else 1]
