"""What can go wrong at the simulated DingTalk, and what nobody knows about the real one.

``Switches``: every guess of dingtalk-protocol and every open question of its §11, each with the
position the simulator takes unless told otherwise. Whoever builds on a guess should pass in both.
``Faults``: trouble, made and ended while the simulator runs; of all apps (``sim.faults``) or of one
(``sim.apps[client_id].faults``). Thread: the simulator's loop, or before ``start``.
"""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]

# What calls are counted, throttled and spoilt by: one word per API.
Api = Literal[
    "gateway",
    "token",
    "old_token",
    "create",
    "deliver",
    "create_and_deliver",
    "streaming",
    "update",
    "send_single",
    "send_group",
    "webhook",
    "download",
    "file",  # the bytes themselves, at the address that ``download`` gave
    "upload",
]

# busy: 500 system.busy. html: a proxy's 502 page. hang: no answer until the simulator closes.
# reset: the TCP connection is aborted before anything was done; lost: after everything was done.
# drip: an answer that comes byte by byte and never ends; endless: as fast as it is read.
Mishap = Literal["busy", "html", "hang", "reset", "lost", "drip", "endless"]

# no_auth 401, not_ready 400, html 403, unavailable 503; hang: no answer; close: the websocket is
# accepted and closed at once with 1000 (dingtalk-protocol §1.1, §10.3).
GatewayFault = Literal["", "no_auth", "not_ready", "html", "unavailable", "hang", "close"]


class Refusal(Exception):
    """An answer in the new API's error shape (dingtalk-protocol §8)."""

    def __init__(self, status: int, code: str, message: str = "", **more: object) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message or code
        self.more = more


class OldRefusal(Exception):
    """HTTP 200 with an errcode."""

    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(f"{errcode} {errmsg}")
        self.errcode = errcode
        self.errmsg = errmsg


@dataclass
class Switches:
    """Positions on what is undocumented. Durations in seconds, sizes in bytes unless named."""

    # --- stream (§1.2, §2)
    ticket_lifetime: float = 90.0
    bad_ticket_status: int = 401  # §11: nobody says; 403 is the other candidate
    max_connections: int = 0  # per app, the next one is answered 503; 0: no bound (§11)
    push_on_connect: bool = False  # True: messages said while nobody was connected come later
    ack_deadline: float = 0.0  # without an ack pushed again after this; 0: never (§2.3; 15, 60)
    redeliveries: int = 3  # how often at most
    same_message_id: bool = True  # a redelivery keeps headers.messageId (§2.3); msgId always
    disconnect_grace: float = 10.0  # from the ``disconnect`` frame to the end of TCP (§2.1)
    push_to_half_open: bool = False  # True: a dead connection goes on swallowing its share
    registered_frames: bool = False  # CONNECTED and REGISTERED after connecting (§2.1)
    keepalive: float = 0.0  # seconds between KEEPALIVE frames; 0: none (§2.1)
    # --- bot messages (§3)
    staff_ids: bool = True  # False: senderStaffId is absent for all (bot unpublished)
    outsider_staff_id: Literal["absent", "empty"] = "absent"
    created_at_text: bool = False  # createAt is a string in the docs, a number in every sample
    rich_text_newlines: bool = True  # line breaks are items of their own
    callback_value: bool = True  # card callbacks repeat ``content`` as ``value`` (§3.1)
    webhook_lifetime: float = 5400.0
    # --- tokens, quotas (§4, §8)
    token_lifetime: float = 7200.0
    token_status: int = 400  # of InvalidAuthentication; the generic docs say 401
    one_token_space: bool = True  # a token of the old /gettoken is good for the new API
    qps_scope: Literal["api", "app"] = "api"  # a window for each API, or one for all of an app's
    throttle_status: int = 403  # 429 in third-party code only
    quota_status: int = 403  # of ApiCountLimitForOrg
    # --- cards (§5)
    content_max_bytes: int = 60_000  # of one streaming content; the true limit is unknown (§11)
    value_max_bytes: int = 0  # of one cardParamMap value; 1024 is documented, more works; 0: off
    put_blank_chars: int = 3000  # longer text that came by instances shows blank (§5.4); 0: off
    after_end: Literal["refused", "ignored"] = "refused"  # streaming after the end (§11)
    same_guid: Literal["accepted", "refused"] = "accepted"  # the finalizing call repeated (§11)
    card_reused: Literal["refused", "ignored"] = "refused"  # outTrackId used before (§5.1)
    space_model_required: bool = True  # a card needs the OpenSpaceModel of where it is delivered
    public_ended_by_stream: bool = False  # True: isFinalize/isError also end the public template
    unknown_card_status: int = 400  # streaming to an unknown card; 500 unknownError was seen too
    missing_field: Literal["documented", "gateway"] = "documented"  # param.xEmpty, or MissingX
    # --- session webhook (§6)
    webhook_group_only: bool = False  # KB 0699 says so; the SDK uses it everywhere
    webhook_per_minute: int = 0  # of one session; 0: no bound. The custom robot's is 20
    webhook_max_bytes: int = 20_000
    # --- files (§7)
    any_file: bool = False  # True: other endings than the documented ones can be uploaded and sent


@dataclass
class Faults:
    """Trouble that can be switched on and off at any time.

    ``latency``: seconds before an API does its work and answers, or (least, most); ``"*"`` is for
    all APIs. ``plan``: what happens to the next calls of an API, in order; fill it with ``next``.
    ``redeliver_after``: each message is pushed again after these seconds although it was acked;
    ``haste`` lets them pass so many times faster. ``down``: API → what happens to every call of
    it, until it is taken out; ``"*"`` is for all APIs. ``card_life``: seconds from its creation,
    after which a card takes nothing more; 0: ever.
    """

    latency: dict[str, float | tuple[float, float]] = field(default_factory=dict)
    plan: dict[str, deque[Mishap | Refusal]] = field(default_factory=dict)
    down: dict[str, Mishap] = field(default_factory=dict)
    gateway: GatewayFault = ""
    redeliver_after: tuple[float, ...] = ()
    haste: float = 1.0
    missing_scopes: set[str] = field(default_factory=set)
    quota_used_up: bool = False
    address_refused: bool = False  # IpNotInWhiteList
    flow_controlled: bool = False  # robot 1:1 sends: 200, and nobody gets it (§6)
    unsafe_words: set[str] = field(default_factory=set)  # param.contentUnsafe
    card_life: float = 0.0
    clock_ahead: float = 0.0  # seconds; DingTalk's clock against ours. Of all apps only

    def next(self, api: Api, mishap: Mishap | Refusal, times: int = 1) -> None:
        """Let ``mishap`` happen to the next ``times`` calls of ``api``."""
        self.plan.setdefault(api, deque()).extend([mishap] * times)

    def clear(self) -> None:
        """End all trouble."""
        self.__dict__.update(Faults().__dict__)

    def take(self, api: Api) -> Mishap | Refusal | None:
        planned = self.plan.get(api)
        return planned.popleft() if planned else self.down.get(api, self.down.get("*"))

    def delay(self, api: Api) -> float:
        latency = self.latency.get(api, self.latency.get("*", 0.0))
        if isinstance(latency, tuple):
            return random.uniform(*latency)  # noqa: S311  no cryptography
        return latency
