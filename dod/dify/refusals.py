"""What Dify says when it cannot answer, as one ``DifyError`` with a sentence of its own.

HTTP status first, ``code`` second (dify-api §9). Messages are read only where Dify gives one code
to many failures, and then choose a sentence, never what happens next; the two exceptions are
"Conversation Not Exists" and "Too many requests".
"""

import json
from collections.abc import Mapping
from typing import Any

from dod.errors import ConversationGone, DifyError
from dod.logs import redact

DETAIL = 500  # characters of Dify's own words in the log; it may quote the model provider

# What json raises: RecursionError where brackets stand in brackets a thousand deep.
NO_JSON = (ValueError, RecursionError)

# Later may be better; everything else needs a person.
_WAITING_HELPS = frozenset(
    {
        "dify",
        "dify_unreachable",
        "dify_timeout",
        "dify_cut",
        "dify_model_failed",
        "dify_model_busy",
        "dify_overloaded",
        "dify_rate",
        "dify_internal",
        "dify_gateway",
    }
)

_BY_CODE = {
    "unauthorized": "dify_key",
    "forbidden": "dify_api_off",
    "app_unavailable": "dify_app_broken",
    "not_chat_app": "dify_app_type",
    "not_completion_app": "dify_app_type",
    "not_workflow_app": "dify_app_type",
    "provider_not_initialize": "dify_model_not_set",
    "provider_quota_exceeded": "dify_model_quota",
    "model_currently_not_support": "dify_model_unsupported",
    "conversation_completed": "dify_conversation_done",
    "not_found": "dify_missing",
    "file_too_large": "dify_file_too_large",
    "audio_too_large": "dify_audio_too_large",
    "unsupported_media_type": "dify_unsupported_type",
    "unsupported_file_type": "dify_file_type",
    "unsupported_audio_type": "dify_audio_type",
    "too_many_requests": "dify_overloaded",
    "rate_limit_error": "dify_rate",
    "internal_server_error": "dify_internal",
    "unknown": "dify_internal",
}

# What model providers are known to say, in lower case; the first line that matches counts.
_MODEL_WORDS = (
    (
        "dify_question_too_long",
        ("prompt is too long", "context length", "context_length", "maximum context"),
    ),
    (
        "dify_model_quota",
        ("insufficient_quota", "insufficient balance", "current quota", "arrearage", "余额不足"),
    ),
    (
        "dify_model_key",
        (
            "incorrect api key",
            "invalid api key",
            "invalid_api_key",
            "incorrect model credentials",
            "status code 401",
            "code: 401",
        ),
    ),
    ("dify_model_busy", ("rate limit", "rate_limit", "too many requests", "code: 429", " 429")),
)

# One code, many failures: words of ``invalid_param`` (dify-api §9).
_INPUT_WORDS = (
    ("Too many requests", "dify_overloaded"),
    ("Workflow not published", "dify_unpublished"),
    (" in input form must be less than", "dify_input_too_long"),
    (" in input form must be one of", "dify_input_option"),
    (" in input form", "dify_input"),
    ("File validation failed", "dify_file_type"),
    ("exceeds the maximum limit", "dify_too_many_files"),
    ("Invalid upload file", "dify_missing"),
)


def refused(status: int, body: bytes, *, app_type: str = "") -> DifyError:
    """The error that an HTTP answer of ``status`` means; never raises, whatever ``body`` holds."""
    try:
        parsed = json.loads(body)
    except NO_JSON:
        parsed = None
    if not isinstance(parsed, dict):  # HTML, of a gateway or of a path that is not Dify's
        return _error(_by_status(status), status, "", body.decode(errors="replace"))
    code, message = _text(parsed.get("code")), _text(parsed.get("message"))
    if status == 404 and message.startswith("Conversation Not Exists"):
        return ConversationGone(_cut(message), code=code, status=status)
    key = _by_status(status, code) or _by_code(code, message, _text(parsed.get("params")))
    if code == "app_unavailable" and app_type == "completion":
        key = "dify_app_type"  # this endpoint has no not_completion_app (dify-api §1)
    return _error(key, status, code, message)


def reported(event: Mapping[str, Any]) -> DifyError:
    """The error that an ``error`` event means; its status is one of 400 and 500."""
    code, message = _text(event.get("code")), _text(event.get("message"))
    status = event.get("status")
    known = status if isinstance(status, int) else 0
    return _error(_by_code(code, message, "") or "dify", known, code, message)


def run_failed(message: str, *, node: str = "") -> DifyError:
    """The error of a run that ended as failed; ``node``: the type of the node that failed.

    A run says no code. Without a node it is taken for the model, which it mostly is.
    """
    key = model_trouble(message)
    if key == "dify_model_failed" and node not in {"", *_MODEL_NODES}:
        key = "dify"
    return _error(key, 0, "", message)


_MODEL_NODES = ("llm", "agent", "question-classifier", "parameter-extractor")


def model_trouble(message: str) -> str:
    """Which sentence tells what a model provider said."""
    said = message.lower()
    for key, words in _MODEL_WORDS:
        if any(word in said for word in words):
            return key
    return "dify_model_failed"


def trouble(key: str, detail: str, *, status: int = 0) -> DifyError:
    """A ``DifyError`` for the sentence ``key``, found by us and not said by Dify."""
    return _error(key, status, "", detail)


def _by_status(status: int, code: str = "") -> str:
    """What the HTTP status alone decides; empty where a JSON answer's ``code`` must be asked."""
    if 300 <= status < 400 or status == 405 or (status == 404 and not code):
        return "dify_not_found"
    if status == 429:
        return "dify_rate" if code == "rate_limit_error" else "dify_overloaded"
    if status >= 500:
        return "dify_internal" if status in {500, 501} else "dify_gateway"
    if code:
        return "dify_key" if status == 401 else ""
    # A page instead of Dify's JSON: a 200 means that the address leads somewhere else.
    return _PAGES.get(status, "dify_bad_request")


_PAGES = {
    200: "dify_not_found",
    401: "dify_proxy",
    403: "dify_proxy",
    407: "dify_proxy",
    413: "dify_too_large",
    415: "dify_unsupported_type",
}


def _by_code(code: str, message: str, params: str) -> str:
    if code == "completion_request_error":
        return model_trouble(message)
    if code == "invalid_param":
        return _invalid(message, params)
    return _BY_CODE.get(code, "dify_bad_request")


def _invalid(message: str, params: str) -> str:
    for words, key in _INPUT_WORDS:
        if words in message:
            return key
    if message.startswith("Run failed"):
        return model_trouble(message)
    if message.startswith(("Model ", "Provider ")) and message.endswith("exist."):
        return "dify_model_not_set"  # its plugin is not installed
    # From 1.8 the field stands on the second line of pydantic's message.
    field = params or message.partition("\n")[2].partition("\n")[0]
    named = {"inputs": "dify_input", "conversation_id": "dify_conversation"}
    return named.get(field, "dify_bad_request")


def _error(key: str, status: int, code: str, detail: str) -> DifyError:
    return DifyError(
        _cut(detail), key=key or "dify", retry=key in _WAITING_HELPS, code=code, status=status
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _cut(text: str) -> str:
    # Hidden before it is cut: nobody knows the half of a secret.
    return " ".join(redact(text).split())[:DETAIL]
