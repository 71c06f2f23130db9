"""👍 and 👎 to Dify, which keeps them beside the answer in its log (dify-api §5)."""

from urllib.parse import quote

import httpx

from dod.dify.refusals import refused, trouble
from dod.messages import Rating

_TIMEOUT = 5.0  # seconds


async def rate(
    client: httpx.AsyncClient, message_id: str, rating: Rating, user: str, comment: str
) -> None:
    """Rate an answer that was given to ``user``. Raises DifyError."""
    body = {"rating": rating, "user": user}
    if comment:
        body["content"] = comment
    path = f"/messages/{quote(message_id, safe='')}/feedbacks"
    try:
        response = await client.post(path, json=body, timeout=_TIMEOUT)
    except httpx.TimeoutException as exc:
        raise trouble("dify_timeout", repr(exc)) from exc
    except httpx.HTTPError as exc:
        raise trouble("dify_unreachable", repr(exc)) from exc
    if response.is_success:
        return
    error = refused(response.status_code, response.content)
    if error.status == 404 and error.code == "not_found":  # deleted, or another user's
        raise trouble("rating_gone", error.detail, status=404)
    raise error
