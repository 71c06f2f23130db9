"""Each way that Dify refuses (dify-api §9) has a sentence of its own."""

import json

import pytest

from dod import logs
from dod.dify.refusals import refused, reported, run_failed
from dod.errors import ConversationGone
from dod.texts import SENTENCES


@pytest.mark.parametrize(
    ("status", "code", "message", "key"),
    [
        (401, "unauthorized", "Access token is invalid", "dify_key"),
        (403, "forbidden", "The app's API service has been disabled.", "dify_api_off"),
        (400, "app_unavailable", "App unavailable", "dify_app_broken"),
        (400, "not_chat_app", "Please check", "dify_app_type"),
        (400, "not_completion_app", "Please check", "dify_app_type"),
        (400, "not_workflow_app", "Please check", "dify_app_type"),
        (400, "provider_not_initialize", "not initialized", "dify_model_not_set"),
        (400, "provider_quota_exceeded", "Your quota", "dify_model_quota"),
        (400, "model_currently_not_support", "Dify Hosted", "dify_model_unsupported"),
        (400, "completion_request_error", "anything", "dify_model_failed"),
        (400, "invalid_param", "Workflow not published", "dify_unpublished"),
        (400, "invalid_param", "name is required in input form", "dify_input"),
        (400, "invalid_param", "Agent Chat App does not support", "dify_bad_request"),
        (400, "invalid_param", "Run failed: the model said no", "dify_model_failed"),
        (400, "invalid_param", "Model x not exist.", "dify_model_not_set"),
        (400, "invalid_param", "Provider openai does not exist.", "dify_model_not_set"),
        (400, "invalid_param", "Too many requests. Please", "dify_overloaded"),
        (400, "bad_request", "draft", "dify_bad_request"),
        (400, "conversation_completed", "The conversation has ended", "dify_conversation_done"),
        (400, "a_code_of_tomorrow", "", "dify_bad_request"),
        (404, "not_found", "Message Not Exists.", "dify_missing"),
        (404, "", "Not Found", "dify_not_found"),
        (405, "method_not_allowed", "The method", "dify_not_found"),
        (413, "file_too_large", "File size exceeded.", "dify_file_too_large"),
        (413, "audio_too_large", "Audio size larger", "dify_audio_too_large"),
        (415, "unsupported_media_type", "Did not", "dify_unsupported_type"),
        (415, "unsupported_file_type", "File type", "dify_file_type"),
        (415, "unsupported_audio_type", "Audio type", "dify_audio_type"),
        (429, "too_many_requests", "Too many requests", "dify_overloaded"),
        (429, "rate_limit_error", "Rate Limit Error", "dify_rate"),
        (500, "internal_server_error", "Internal Server Error", "dify_internal"),
        (500, "unknown", "Internal Server Error", "dify_internal"),
        (503, "", "", "dify_gateway"),
    ],
)
def test_each_row_of_the_table_has_its_sentence(
    status: int, code: str, message: str, key: str
) -> None:
    body = {"code": code, "message": message, "status": status}
    error = refused(status, json.dumps(body).encode())
    assert (error.key, error.code, error.status) == (key, code, status)
    assert error.key in SENTENCES


@pytest.mark.parametrize(
    ("status", "key"),
    [
        (200, "dify_not_found"),
        (301, "dify_not_found"),
        (308, "dify_not_found"),
        (400, "dify_bad_request"),
        (401, "dify_proxy"),
        (403, "dify_proxy"),
        (407, "dify_proxy"),
        (404, "dify_not_found"),
        (413, "dify_too_large"),
        (429, "dify_overloaded"),
        (500, "dify_internal"),
        (502, "dify_gateway"),
        (503, "dify_gateway"),
        (504, "dify_gateway"),
        (520, "dify_gateway"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>\n<h1>no</h1>", b"[1]", b"null", b"\xff{"])
def test_a_page_is_told_by_its_status(status: int, key: str, body: bytes) -> None:
    assert refused(status, body).key == key


@pytest.mark.parametrize(
    "body",
    [
        {"code": "invalid_param", "message": "Missing required parameter", "params": "inputs"},
        {"code": "invalid_param", "message": "1 validation error for X\ninputs\n  Field required"},
    ],
)
def test_field_is_found_in_both_forms(body: dict[str, str]) -> None:
    error = refused(400, json.dumps(body).encode())
    assert (error.key, error.status) == ("dify_input", 400)


@pytest.mark.parametrize("body", [{"code": 7, "message": ["x"]}, {"code": None, "params": {}}])
def test_odd_json_is_survived(body: dict[str, object]) -> None:
    assert refused(400, json.dumps(body).encode()).key == "dify_bad_request"


@pytest.mark.parametrize("bracket", [b"[", b'{"code":'])
def test_brackets_within_brackets_are_no_refusal_of_difys(bracket: bytes) -> None:
    assert refused(200, bracket * 10_000).key == "dify_not_found"


def test_forgotten_conversation_is_its_own_error() -> None:
    said = b'{"code": "not_found", "message": "Conversation Not Exists. You have", "status": 404}'
    assert isinstance(refused(404, said), ConversationGone)


def test_completion_endpoint_calls_a_wrong_app_unavailable() -> None:
    said = b'{"code": "app_unavailable", "message": "App unavailable", "status": 400}'
    assert refused(400, said, app_type="completion").key == "dify_app_type"


@pytest.mark.parametrize(
    ("message", "key"),
    [
        ("Query or prefix prompt is too long, you can reduce", "dify_question_too_long"),
        ("maximum context length is 8192 tokens", "dify_question_too_long"),
        ("Error code: 429 - insufficient_quota", "dify_model_quota"),
        ("API request failed with status code 429: slow down", "dify_model_busy"),
        ("Rate limit reached for gpt", "dify_model_busy"),
        ("Incorrect API key provided", "dify_model_key"),
        ("API request failed with status code 401: {}", "dify_model_key"),
        ("API request failed with status code 500: {}", "dify_model_failed"),
        ("", "dify_model_failed"),
    ],
)
def test_what_a_model_provider_said_chooses_the_sentence(message: str, key: str) -> None:
    event = {"code": "completion_request_error", "status": 400, "message": message}
    assert reported(event).key == key
    assert run_failed(message).key == key
    assert run_failed(message, node="llm").key == key


def test_failed_node_that_is_no_model_is_not_blamed_on_the_model() -> None:
    assert run_failed("division by zero", node="code").key == "dify"


def test_error_event_of_an_unknown_kind_has_a_sentence() -> None:
    assert reported({}).key in SENTENCES
    assert reported({"code": "internal_server_error", "status": 500}).key == "dify_internal"


def test_detail_is_short_and_one_line() -> None:
    error = reported({"code": "x", "status": "odd", "message": "a\nb " * 5000})
    assert len(error.detail) <= 500
    assert "\n" not in error.detail


@pytest.mark.parametrize(
    ("status", "retry"), [(401, False), (413, False), (429, True), (500, True), (502, True)]
)
def test_retry_is_said_where_waiting_can_help(status: int, *, retry: bool) -> None:
    assert refused(status, b"").retry is retry


def test_a_secret_that_is_said_back_is_hidden_before_the_words_are_cut() -> None:
    logs.hide("app/said-back-3")
    error = reported({"code": "x", "message": f"{'x' * 490} app/said-back-3"})
    assert "app/" not in error.detail


def test_a_secret_is_hidden_wherever_a_long_message_would_be_cut() -> None:
    secret = "Xq8-hidden-before-cut"
    logs.hide(secret)
    for blanks in range(1_975, 2_005):
        said = reported({"message": " " * blanks + secret, "status": 400}).detail
        assert said == logs.MASK
