"""Files to Dify, streamed: a picture of 10 MB never stands in memory (dify-api §6)."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx

from dod.dify.refusals import NO_JSON, refused, trouble
from dod.errors import DifyError, FileNotTaken
from dod.ports import Download

_WRITE = 60.0  # seconds of silence while Dify takes a file in


class Uploads:
    """The two endpoints that take a file. Thread: the bot's loop."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def upload(self, name: str, media: str, file: Download, user: str) -> str:
        """The upload_file_id. Raises DifyError, and what ``file.chunks`` raises."""
        got = await self._post("/files/upload", name, media, file, user)
        if not isinstance(got.get("id"), str) or not got["id"]:
            raise FileNotTaken("Dify gave no id for a file")
        return str(got["id"])

    async def transcribe(self, name: str, media: str, file: Download, user: str) -> str:
        got = await self._post("/audio-to-text", name, media, file, user)
        return got["text"].strip() if isinstance(got.get("text"), str) else ""

    async def _post(
        self, path: str, name: str, media: str, file: Download, user: str
    ) -> dict[str, Any]:
        form = _Form(name, media, file, user)
        try:
            response = await self._client.post(
                path, content=form.chunks(), headers=form.headers, timeout=_WRITE
            )
        except httpx.TimeoutException as exc:
            raise trouble("dify_timeout", repr(exc)) from exc
        except httpx.HTTPError as exc:
            # Also where a proxy answers 413 and hangs up while the file is still being sent.
            raise trouble("dify_unreachable", repr(exc)) from exc
        if not response.is_success:
            raise _refusal(refused(response.status_code, response.content))
        try:
            got = response.json()
        except NO_JSON:
            got = None
        if not isinstance(got, dict):
            raise trouble("dify_not_found", "an upload was answered with no JSON object")
        return got


_ABOUT_FILE = frozenset(
    {
        "file_too_large",
        "audio_too_large",
        "unsupported_file_type",
        "unsupported_audio_type",
        "unsupported_media_type",
        "invalid_param",
        "no_file_uploaded",
    }
)


def _refusal(error: DifyError) -> DifyError:
    """What concerns this file alone, told apart from what concerns every request."""
    if error.code not in _ABOUT_FILE and error.status not in {413, 415}:
        return error
    key = "file_too_large_for_dify" if error.status == 413 else "file_refused"
    return FileNotTaken(error.detail, key=key, code=error.code, status=error.status)


class _Form:
    """multipart/form-data with ``user`` and one ``file``. httpx's own wants the file in memory."""

    def __init__(self, name: str, media: str, file: Download, user: str) -> None:
        self._file = file
        boundary = secrets.token_hex(16)
        safe = name.replace("\\", "_").replace('"', "%22").replace("\r", "").replace("\n", "")
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="user"\r\n\r\n{user}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{safe}"\r\n'
            f"Content-Type: {media}\r\n\r\n"
        )
        self._head = head.encode("utf-8", "replace")
        self._foot = f"\r\n--{boundary}--\r\n".encode()
        self.headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        if file.size >= 0:
            whole = len(self._head) + file.size + len(self._foot)
            self.headers["Content-Length"] = str(whole)

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._head
        async for chunk in self._file.chunks:
            yield chunk
        yield self._foot
