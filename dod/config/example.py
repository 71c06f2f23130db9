"""The ``bots.yaml`` that an empty folder gets: all comments, so no bot runs before it is meant."""

EXAMPLE = """\
# yaml-language-server: $schema=./config.schema.json
#
# dod 的机器人都写在这个文件里。填好 <…>，去掉从 bots: 开始每行最前面的“# ”，保存即可：
# 几秒内生效，不用重启。写得对不对，看旁边的 bots.status.txt（或状态页，端口 8765）。
#
# The bots of dod. Fill in each <…>, remove the "# " in front of the lines from bots: on, and save:
# it takes effect within seconds, without a restart. Whether it is right is told in bots.status.txt
# beside this file, and on the status page (port 8765).
#
# bots:
#   - name: 问答助手
#     # 钉钉开放平台 > 应用开发 > 凭证与基础信息 (DingTalk developer console > credentials)
#     dingtalk_app_client_id: <your-client-id>
#     dingtalk_app_client_secret: <your-client-secret>
#     # chatbot（聊天助手、Agent、Chatflow） | completion | workflow
#     dify_app_type: chatbot
#     # Dify > 应用 > 访问 API (API access)
#     dify_app_api_key: <your-dify-key>
#     # 自己部署的 Dify：去掉下一行的 # (a Dify of your own: remove the # of the next line)
#     # dify_api_url: http://192.168.1.10/v1
#
#   # 再加一个机器人：照上面再写一段，name 不能重复。
#   # One more bot: one more such block, with another name.
"""


def is_example(text: str) -> bool:
    """Whether nobody has touched it yet. ``text`` has Unix line ends."""
    return text == EXAMPLE
