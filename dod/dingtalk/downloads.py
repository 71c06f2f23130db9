"""What people send beside text: found by its downloadCode, then read (dingtalk-protocol §7)."""

import contextlib
from collections.abc import AsyncIterator

import httpx

from dod.dingtalk.api import Api
from dod.dingtalk.bucket import Rank
from dod.dingtalk.refusals import TRANSPORT_ERRORS, unreachable
from dod.errors import DingTalkBusy, DingTalkError, FileGone
from dod.messages import Attachment
from dod.ports import Download

_PATH = "/v1.0/robot/messageFiles/download"


@contextlib.asynccontextmanager
async def download(api: Api, attachment: Attachment, corp_id: str) -> AsyncIterator[Download]:
    """Open ``attachment``. Raises DingTalkError."""
    body = {"downloadCode": attachment.code, "robotCode": api.client_id}
    try:
        got = await api.call("POST", _PATH, body, rank=Rank.CREATE, corp_id=corp_id, patient=True)
    except DingTalkError as error:
        if "downloadCode" in error.code or "robotCode" in error.code:
            raise FileGone(error.detail, code=error.code, status=error.status) from error
        raise
    url = got.get("downloadUrl")
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise FileGone("DingTalk gave no address of the file")
    try:
        async with api.file(url) as response:
            if response.status_code >= 500:
                raise DingTalkBusy("a file could not be read", status=response.status_code)
            if response.status_code != 200:  # its address has a time limit of its own
                raise FileGone("a file could not be read", status=response.status_code)
            yield Download(_size(response), _chunks(response))
    except TRANSPORT_ERRORS as exc:
        raise unreachable(exc) from exc


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    except TRANSPORT_ERRORS as exc:
        raise unreachable(exc) from exc


def _size(response: httpx.Response) -> int:
    """As told; -1 where it is not, or where the bytes are packed on the way."""
    told = response.headers.get("Content-Length", "")
    packed = response.headers.get("Content-Encoding", "identity") != "identity"
    return int(told) if told.isdecimal() and not packed else -1
