"""``dod migrate``: moving in from dify-on-dingtalk."""
