"""What the simulated Dify refuses, in the words and the order of the real one (dify-api §1, §9)."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from dod.sim.dify.kinds import Kind, Version

_PAGE = """<!doctype html>
<html lang=en>
<title>{status} {title}</title>
<h1>{title}</h1>
<p>{text}</p>
"""
_ELIDED = 50  # characters of a value that pydantic quotes


@dataclass
class Refused(Exception):
    """An HTTP answer of 4xx or 5xx. ``body``: JSON, or a page."""

    status: int
    body: dict[str, Any] | str

    def response(self) -> web.Response:
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, content_type="text/html")
        return web.json_response(self.body, status=self.status)


def refuse(status: int, code: str, message: str) -> Refused:
    """A refusal in Dify's usual form."""
    return Refused(status, {"code": code, "message": message, "status": status})


def page(status: int, title: str, text: str = "") -> Refused:
    """A refusal as HTML, of a gateway or a path that is not Dify's."""
    return Refused(status, _PAGE.format(status=status, title=title, text=text))


def bearer(request: web.Request) -> str:
    """The key of the request."""
    given = request.headers.get("Authorization", "")
    if " " not in given:
        said = "Authorization header must be provided and start with 'Bearer'"
        raise refuse(401, "unauthorized", said)
    scheme, key = given.split(None, 1)
    if scheme.lower() != "bearer":
        raise refuse(401, "unauthorized", "Authorization scheme must be 'Bearer'")
    return key


async def json_body(request: web.Request) -> dict[str, Any]:
    """The request's JSON object with a ``user`` that is a string."""
    if request.content_type != "application/json":
        said = (
            "Did not attempt to load JSON data because the request Content-Type was not "
            "'application/json'."
        )
        raise refuse(415, "unsupported_media_type", said)
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        said = "The browser (or proxy) sent a request that this server could not understand."
        raise refuse(400, "bad_request", said)
    if not body.get("user"):
        raise refuse(400, "invalid_param", "Arg user must be provided.")
    body["user"] = str(body["user"])
    return body


def user_fits(user: str, version: Version) -> None:
    """An end user's id longer than its column is a 500."""
    if len(user) > 255:
        body: dict[str, Any] = {"message": "Internal Server Error", "code": "unknown"}
        raise Refused(500, body if version == "0.15" else {**body, "status": 500})


def endpoint_fits(kind: Kind, path: str) -> None:
    """An app of this kind is served at this path, also for stopping."""
    said = "Please check if your app mode matches the right API route."
    if path.startswith("/v1/chat-messages"):
        if kind not in {"chat", "agent", "chatflow"}:
            raise refuse(400, "not_chat_app", said)
    elif path.startswith("/v1/workflows"):
        if kind != "workflow":
            raise refuse(400, "not_workflow_app", said)
    elif kind != "completion":
        raise app_unavailable()


def app_unavailable() -> Refused:
    said = "App unavailable, please check your app configurations."
    return refuse(400, "app_unavailable", said)


def fields_fit(kind: Kind, version: Version, body: dict[str, Any]) -> None:
    """The fields are there and of their types; content is judged later."""
    chat = kind in {"chat", "agent", "chatflow"}
    for name in ("inputs", "query") if chat else ("inputs",):
        if body.get(name) is None:
            raise _field(kind, version, body, name, said="Field required", what="missing")
    if not isinstance(body["inputs"], dict):
        said = "Input should be a valid dictionary"
        raise _field(kind, version, body, "inputs", said=said, what="dict_type")
    if not isinstance(body.get("query", ""), str):
        said = "Input should be a valid string"
        raise _field(kind, version, body, "query", said=said, what="string_type")
    if body.get("response_mode", "blocking") not in {"blocking", "streaming"}:
        said = "Input should be 'blocking' or 'streaming'"
        raise _field(kind, version, body, "response_mode", said=said, what="literal_error")
    if chat and body.get("conversation_id"):
        uuid_fits(kind, version, body)


def uuid_fits(kind: Kind, version: Version, body: dict[str, Any]) -> None:
    """A conversation's id is a UUID."""
    try:
        uuid.UUID(str(body.get("conversation_id")))
    except ValueError:
        said = "Value error, conversation_id must be a valid UUID"
        raise _field(
            kind, version, body, "conversation_id", said=said, what="value_error"
        ) from None


def conversation_unknown(version: Version, path: str = "/v1/chat-messages") -> Refused:
    """No conversation of this app and user has that id."""
    said = "Conversation Not Exists."
    if version != "0.15":
        said += (
            f" You have requested this URI [{path}] but did you mean {path} "
            f"or {path.replace('/v1', '/api')} or {path}/<string:task_id>/stop ?"
        )
    return refuse(404, "not_found", said)


def too_many(version: Version, allowed: int, app_id: str) -> Refused:
    """More requests at once than the app allows: no 429 since 0.15.0."""
    whose = "" if version == "0.15" else f" for {app_id}"
    said = (
        "Too many requests. Please try again later. "
        f"The current maximum concurrent requests allowed{whose} is {allowed}."
    )
    return refuse(400, "invalid_param", said)


_OLD_WORDS = {
    "missing": "Missing required parameter in the JSON body",
    "dict_type": "dictionary update sequence element #0 has length 1; 2 is required",
    "literal_error": "{} is not a valid choice",
    "value_error": "{} is not a valid uuid.",
    "string_type": "{} is not a string",
}


def _field(
    kind: Kind, version: Version, body: dict[str, Any], name: str, *, said: str, what: str
) -> Refused:
    """One field is wrong: flask's words in 0.15, pydantic's from 1.8 on."""
    given = body if what == "missing" else body[name]
    if version == "0.15":
        words = _OLD_WORDS[what].replace("{}", str(given))
        return Refused(400, {"code": "invalid_param", "message": words, "params": name})
    quoted = repr(given)
    if len(quoted) > _ELIDED:
        quoted = f"{quoted[:25]}...{quoted[-24:]}"
    model = {"completion": "CompletionRequestPayload", "workflow": "WorkflowRunPayload"}
    lines = (
        f"1 validation error for {model.get(kind, 'ChatRequestPayload')}",
        name,
        f"  {said} [type={what}, input_value={quoted}, input_type={type(given).__name__}]",
        f"    For further information visit https://errors.pydantic.dev/2.12/v/{what}",
    )
    return refuse(400, "invalid_param", "\n".join(lines))
