"""The DingTalk edge: a stream connection in, cards and messages out (dingtalk-protocol)."""
