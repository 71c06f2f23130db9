"""What stands before every DingTalk API: tokens, scopes, throttling, quotas, planned mishaps.

Facts: dingtalk-protocol §4 (tokens) and §8 (errors, QPS, quotas).
"""

import time
import uuid
from collections import Counter, deque

from dod.sim.dingtalk.faults import Api, Faults, Mishap, Refusal, Switches
from dod.sim.dingtalk.world import SimApp, SimEvent, World

_DENIED = "Forbidden.AccessDenied."
_QPS_TEXT = "您的企业应用调用钉钉开放平台当前接口的所有请求都被暂时禁用了"
SCOPES: dict[Api, str] = {
    "create": "Card.Instance.Write",
    "deliver": "Card.Instance.Write",
    "create_and_deliver": "Card.Instance.Write",
    "update": "Card.Instance.Write",
    "streaming": "Card.Streaming.Write",
    "send_single": "qyapi_robot_sendmsg",
    "send_group": "qyapi_robot_sendmsg",
}
# Old errors (HTTP 200) for what the new API refuses by code: dingtalk-protocol §8.
OLD_ERRCODES = {
    "InvalidAuthentication": 40014,
    _DENIED + "QpsLimitForAppkeyAndApi": 90018,
    _DENIED + "ApiCountLimitForOrg": 90020,
}


class Gate:
    """Lets a call through, or raises ``Refusal``.

    ``calls``: (client id, API) → done; ``refused``: (client id, API, code) → refused, a client id
    of "" for unknown tokens; ``month_calls``: corp id → calls that DingTalk would bill: those that
    were not throttled, whatever came of them; tokens, gateway and webhook are free.
    """

    def __init__(self, world: World, switches: Switches, faults: Faults, qps: int) -> None:
        self.world = world
        self.switches = switches
        self.faults = faults
        self.qps = qps
        self.qps_by_api: dict[Api, int] = {}
        self.month_quota = 0
        self.calls: Counter[tuple[str, Api]] = Counter()
        self.refused: Counter[tuple[str, Api, str]] = Counter()
        self.month_calls: Counter[str] = Counter()
        self.issued: set[str] = set()
        self._tokens: dict[str, tuple[SimApp, float]] = {}
        self._old_tokens: set[str] = set()
        self._windows: dict[tuple[str, str], deque[float]] = {}

    def token(self, app: SimApp, *, old: bool = False) -> str:
        """The app's token: the same one, renewed, while it is valid (§4)."""
        expires = time.monotonic() + self.switches.token_lifetime
        apart = old and not self.switches.one_token_space
        for token, (owner, until) in self._tokens.items():
            if owner is app and until > time.monotonic() and (token in self._old_tokens) == apart:
                self._tokens[token] = (app, expires)
                return token
        token = uuid.uuid4().hex
        self.issued.add(token)
        self._tokens[token] = (app, expires)
        if apart:
            self._old_tokens.add(token)
        return token

    def expire_tokens(self, app: SimApp) -> None:
        """All tokens of the app are unknown from now on."""
        self._tokens = {token: at for token, at in self._tokens.items() if at[0] is not app}

    def owner(self, token: str, *, old: bool = False) -> SimApp:
        """The app whose valid token this is."""
        app, until = self._tokens.get(token, (None, 0.0))
        apart = not self.switches.one_token_space and (token in self._old_tokens) != old
        if app is None or until <= time.monotonic() or apart:
            raise Refusal(
                self.switches.token_status, "InvalidAuthentication", "不合法的access_token"
            )
        return app

    def mishap(self, app: SimApp | None, api: Api) -> Mishap | None:
        """What is planned for this call; a planned refusal is raised."""
        planned = (app.faults.take(api) if app else None) or self.faults.take(api)
        if isinstance(planned, Refusal):
            raise planned
        if planned == "busy":
            raise Refusal(500, "system.busy", "系统繁忙")
        return planned

    def delay(self, app: SimApp | None, api: Api) -> float:
        return (app.faults.delay(api) if app else 0.0) or self.faults.delay(api)

    def count(self, app: SimApp | None, api: Api, code: str = "") -> None:
        """One call done, or, with a ``code``, refused."""
        client_id = app.client_id if app else ""
        if code:
            self.refused[client_id, api, code] += 1
        else:
            self.calls[client_id, api] += 1
        self.world.tell(SimEvent("call", (client_id, api, code)))

    def admit(self, app: SimApp, api: Api) -> None:
        """Scope, address, month quota and QPS, in this order; counts the call for the month."""
        faults = (app.faults, self.faults)
        if any(one.address_refused for one in faults):
            raise Refusal(403, _DENIED + "IpNotInWhiteList", "访问ip不在白名单之中")
        scope = SCOPES.get(api, "")
        if scope and any(scope in one.missing_scopes for one in faults):
            raise Refusal(
                403,
                _DENIED + "AccessTokenPermissionDenied",
                f"应用尚未开通所需的权限：[{scope}]",
                accessdenieddetail={"requiredScopes": [scope]},
            )
        over = 0 < self.month_quota <= self.month_calls[app.corp_id]
        if over or any(one.quota_used_up for one in faults):
            raise Refusal(self.switches.quota_status, _DENIED + "ApiCountLimitForOrg")
        self._throttle(app, api)
        self.month_calls[app.corp_id] += 1

    def _throttle(self, app: SimApp, api: Api) -> None:
        limit = self.qps_by_api.get(api, self.qps)
        if not limit:
            return
        name = api if self.switches.qps_scope == "api" else "*"
        window = self._windows.setdefault((app.client_id, name), deque())
        now = time.monotonic()
        while window and window[0] <= now - 1.0:
            window.popleft()
        if len(window) >= limit:
            code = _DENIED + "QpsLimitForAppkeyAndApi"
            raise Refusal(self.switches.throttle_status, code, _QPS_TEXT)
        window.append(now)
