"""JSON bodies as the simulated DingTalk reads and writes them."""

import json
import uuid

from aiohttp import web

from dod.sim.dingtalk.faults import Json


def object_of(raw: bytes) -> Json | None:
    """The object, or None for what is none."""
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def answer_json(body: Json, status: int = 200, request_id: str = "") -> web.Response:
    return web.Response(
        text=json.dumps(body, ensure_ascii=False),
        status=status,
        content_type="application/json",
        headers={"x-acs-request-id": request_id or str(uuid.uuid4()).upper()},
    )
