"""The card APIs of the simulated DingTalk: what they refuse, and what they do to a card.

Facts: dingtalk-protocol §5; codes are the documented ones. Where a refusal has no documented code
it is ``param.invalid``. Every method takes the caller's app and the JSON body, returns the body of
the 200, or raises ``Refusal`` and has then changed nothing.
"""

import time
import uuid

from dod.sim.dingtalk.faults import Faults, Json, Refusal, Switches
from dod.sim.dingtalk.world import SimApp, SimCard, SimChat, SimEvent, World

_SPACE = "dtv1.card//"
_MODELS = {"IM_GROUP": "imGroupOpen", "IM_ROBOT": "imRobotOpen"}


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and bool(value)


class Cards:
    def __init__(self, world: World, switches: Switches, faults: Faults) -> None:
        self.world = world
        self.switches = switches
        self.faults = faults

    # ------------------------------------------------------------------ the five calls

    def create(self, app: SimApp, body: Json) -> Json:
        """``POST /v1.0/card/instances`` (§5.1)."""
        return {"success": True, "result": self._make(self._plan(app, body)).id}

    def deliver(self, app: SimApp, body: Json) -> Json:
        """``POST /v1.0/card/instances/deliver`` (§5.2)."""
        card = self._card(app, self._text(body, "outTrackId", "param.outTrackIdEmpty"))
        spaces = self._spaces(body, card.spaces)
        return {"success": True, "result": [self._place(app, card, body, *at) for at in spaces]}

    def create_and_deliver(self, app: SimApp, body: Json) -> Json:
        """``POST /v1.0/card/instances/createAndDeliver`` (§5.3)."""
        planned = self._plan(app, body)
        spaces = self._spaces(body, planned.spaces)
        card = self._make(planned)
        results = [self._place(app, card, body, *at) for at in spaces]
        return {"success": True, "result": {"outTrackId": card.id, "deliverResults": results}}

    def stream(self, app: SimApp, body: Json) -> Json:
        """``PUT /v1.0/card/streaming`` (§5.4)."""
        key = self._text(body, "key", "param.stream.keyEmpty")
        content = self._text(body, "content", "param.stream.contentEmpty")
        guid = self._text(body, "guid", "param.stream.guidEmpty")
        for flag in ("isFull", "isFinalize", "isError"):
            if not isinstance(body.get(flag, False), bool):
                raise Refusal(400, "param.invalid", f"{flag} is not a boolean")
        card = self.world.cards.get(self._text(body, "outTrackId", "param.stream.outTrackId"))
        if card is None or card.app is not app:
            if self.switches.unknown_card_status == 500:
                raise Refusal(500, "unknownError", "未知错误")
            raise Refusal(400, "param.stream.outTrackId", "card is not exist")
        if card.template.markdown and not body.get("isFull"):
            raise Refusal(400, "param.stream.isFull", "isFull must be true for markdown")
        if len(content.encode()) > self.switches.content_max_bytes:
            raise Refusal(400, "param.stream.content", "content is too large")
        self._safe(app, content)
        self._young(card)
        if guid in card.guids and self.switches.same_guid == "accepted":
            return {"success": True, "result": True}
        if card.ended:
            if self.switches.after_end == "ignored":
                return {"success": True, "result": True}
            raise Refusal(400, "param.invalid", "card streaming is finalized")
        self._write(card, body, key, content, guid)
        return {"success": True, "result": True}

    def update(self, app: SimApp, body: Json) -> Json:
        """``PUT /v1.0/card/instances`` (§5.5)."""
        card = self._card(app, self._text(body, "outTrackId", "param.outTrackIdEmpty"))
        if not _is(body.get("cardData"), dict) and not _is(body.get("privateData"), dict):
            raise Refusal(400, "param.cardDataAndPrivateDataBothEmpty")
        if not _is(body.get("cardData"), dict):
            return {"success": True, "result": True}
        params = self._params(app, body["cardData"])
        self._young(card)
        options = body.get("cardUpdateOptions") or {}
        if not isinstance(options, dict):
            raise Refusal(400, "param.invalid", "cardUpdateOptions is not an object")
        by_key = options.get("updateCardDataByKey") is True
        card.put(params, by_key=by_key, blank_chars=self.switches.put_blank_chars)
        card.record("put")
        self.world.tell(SimEvent("card", card))
        return {"success": True, "result": True}

    # ------------------------------------------------------------------ parts

    def _text(self, body: Json, name: str, code: str) -> str:
        """A required, non-empty string field."""
        value = body.get(name)
        if value is None and self.switches.missing_field == "gateway":
            raise Refusal(400, f"Missing{name}", f"{name} is mandatory for this action.")
        if value is not None and not isinstance(value, str):
            raise Refusal(400, "param.invalid", f"{name} is not a string")
        if not value:
            raise Refusal(400, code)
        return str(value)

    def _card(self, app: SimApp, card_id: str) -> SimCard:
        card = self.world.cards.get(card_id)
        if card is None or card.app is not app:
            raise Refusal(400, "param.cardNotExist")
        return card

    def _young(self, card: SimCard) -> None:
        """Nobody says how long a card may be written to, nor how it is refused then (§11)."""
        life = card.app.faults.card_life or self.faults.card_life
        if life and time.monotonic() - card.created_at > life:
            raise Refusal(400, "param.invalid", "card is expired")

    def _safe(self, app: SimApp, text: str) -> None:
        if any(word in text for word in self.faults.unsafe_words | app.faults.unsafe_words):
            raise Refusal(400, "param.contentUnsafe")

    def _params(self, app: SimApp, card_data: Json) -> dict[str, str]:
        params = card_data.get("cardParamMap")
        if not isinstance(params, dict):
            raise Refusal(400, "param.cardPublicDataEmpty")
        limit = self.switches.value_max_bytes
        for key, value in params.items():
            if not isinstance(value, str):
                raise Refusal(400, "param.invalid", f"cardParamMap.{key} is not a string")
            if len(key.encode()) > 100 or (limit and len(value.encode()) > limit):
                raise Refusal(400, "param.invalid", f"cardParamMap.{key} is too long")
            self._safe(app, value)
        return params

    def _plan(self, app: SimApp, body: Json) -> SimCard:
        """Check a creation; the card is not yet in the world."""
        if not body:
            raise Refusal(400, "param.empty")
        template_id = self._text(body, "cardTemplateId", "param.cardTemplateIdEmpty")
        card_id = self._text(body, "outTrackId", "param.outTrackIdEmpty")
        if len(card_id) > 64:
            raise Refusal(400, "outTrackId.outOfLimit", "outTrackId is longer than 64 characters")
        if not _is(body.get("cardData"), dict):
            raise Refusal(400, "param.cardPublicDataEmpty")
        params = self._params(app, body["cardData"])
        template = self.world.templates.get(template_id)
        if template is None:
            raise Refusal(400, "param.templateNotExist")
        if not template.published:
            raise Refusal(400, "param.templateUnpublished")
        if body.get("callbackType", "STREAM") not in {"STREAM", "HTTP"}:
            raise Refusal(400, "param.invalid", "callbackType is STREAM or HTTP")
        if body.get("userIdType", 1) not in {1, 2}:
            raise Refusal(400, "param.invalid", "userIdType is 1 or 2")
        spaces = set()
        for space, prefix in _MODELS.items():
            model = body.get(prefix + "SpaceModel")
            if model is None:
                continue
            if not isinstance(model, dict) or not isinstance(model.get("supportForward"), bool):
                raise Refusal(400, "param.openSpaceModelInvalid")
            spaces.add(space)
        known = self.world.cards.get(card_id)
        if known is not None and (self.switches.card_reused == "refused" or known.app is not app):
            raise Refusal(400, "param.cardAlreadyExist")
        card = SimCard(card_id, app, template, {}, frozenset(spaces))
        card.calls_back = body.get("callbackType") == "STREAM"
        card.put(params, by_key=True, blank_chars=self.switches.put_blank_chars)
        return card

    def _make(self, planned: SimCard) -> SimCard:
        card = self.world.cards.setdefault(planned.id, planned)
        if card is planned:
            card.record("create")
            self.world.tell(SimEvent("card", card))
        return card

    def _spaces(self, body: Json, allowed: frozenset[str]) -> list[tuple[str, str]]:
        """(space type, space id) of each space to deliver to; the models are there."""
        joined = self._text(body, "openSpaceId", "param.openSpaceIdEmpty")
        if not any(body.get(prefix + "DeliverModel") for prefix in _MODELS.values()):
            raise Refusal(400, "param.openDeliverModelEmpty")
        spaces = []
        for one in joined.split(";"):
            space, _, space_id = one.removeprefix(_SPACE).partition(".")
            if not one.startswith(_SPACE) or space not in _MODELS or not space_id:
                raise Refusal(400, "param.openSpaceIdInvalid")
            self._check_model(space, body.get(_MODELS[space] + "DeliverModel"))
            if self.switches.space_model_required and space not in allowed:
                raise Refusal(400, "param.openSpaceModelInvalid")
            spaces.append((space, space_id))
        return spaces

    @staticmethod
    def _check_model(space: str, model: object) -> None:
        if not isinstance(model, dict) or not model:
            raise Refusal(400, "param.spaceDeliverModelEmpty")
        if space == "IM_ROBOT" and model.get("spaceType") != "IM_ROBOT":
            raise Refusal(400, "param.invalid", "spaceType is IM_ROBOT")
        if space == "IM_GROUP" and not _is(model.get("robotCode"), str):
            raise Refusal(400, "param.invalid", "robotCode is empty")
        at = model.get("atUserIds", {})
        if not isinstance(at, dict) or not all(isinstance(nick, str) for nick in at.values()):
            raise Refusal(400, "param.invalid", "atUserIds maps userId to nick")
        if not isinstance(model.get("recipients", []), list):
            raise Refusal(400, "param.invalid", "recipients is a list")
        extension = model.get("extension", {})
        if not isinstance(extension, dict) or not all(
            isinstance(value, str) for value in extension.values()
        ):
            raise Refusal(400, "param.invalid", "extension maps strings to strings")

    def _place(self, app: SimApp, card: SimCard, body: Json, space: str, space_id: str) -> Json:
        """Deliver to one space. HTTP is 200 even if this one failed (§5.2)."""
        answer = {"spaceType": space, "spaceId": space_id, "success": False, "carrierId": ""}
        robot_code = body[_MODELS[space] + "DeliverModel"].get("robotCode", app.client_id)
        chat = self._chat(app, space, space_id)
        if chat is None:  # "spaceId is illegal": seen with a staffId that is none
            return {**answer, "errorMsg": "spaceId is illegal"}
        if robot_code != app.client_id:  # a guess: nobody shows this text
            return {**answer, "errorMsg": "robotCode is illegal"}
        if chat.id not in card.carriers:  # a second delivery to the same place shows nothing new
            card.carriers[chat.id] = uuid.uuid4().hex
            if card.chat is None:
                card.chat = chat
                card.delivered_at = time.monotonic()
                card.msg = self.world.answered(app, chat)
            chat.shown.append(card)
            self.world.tell(SimEvent("card", card))
        carrier = card.carriers[chat.id]
        return {**answer, "success": True, "carrierId": carrier, "errorMsg": ""}

    def _chat(self, app: SimApp, space: str, space_id: str) -> SimChat | None:
        if space == "IM_ROBOT":
            person = self.world.staff.get(space_id)
            return self.world.single(app, person) if person else None
        chat = self.world.chats.get(space_id)
        return chat if chat is not None and chat.kind == "group" else None

    def _write(self, card: SimCard, body: Json, key: str, content: str, guid: str) -> None:
        card.guids.add(guid)
        card.stream(key, content, full=bool(body.get("isFull")))
        failed = bool(body.get("isError"))
        if failed or body.get("isFinalize"):
            card.end(failed=failed, switches=self.switches)
            card.record("error" if failed else "finalize")
        else:
            card.record("stream")
        self.world.tell(SimEvent("card", card))
