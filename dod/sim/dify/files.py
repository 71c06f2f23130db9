"""Files of the simulated Dify: taken in, refused, and looked up again (dify-api §1, §5, §6)."""

import mimetypes
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import BodyPartReader, web

from dod.sim.dify import checks
from dod.sim.dify.kinds import Version

FileKind = Literal["image", "document", "audio", "video", "custom"]
_BAD = set('/\\:*?"<>|')
_AUDIO: dict[Version, str] = {
    "0.15": "mp3 m4a wav webm amr",
    "1.13": "mp3 m4a wav amr mpga",
    "1.13.1": "mp3 m4a wav amr mpga",
}
_EXTENSIONS: dict[FileKind, str] = {
    "image": "jpg jpeg png webp gif svg",
    "video": "mp4 mov mpeg webm",
    "audio": "mp3 m4a wav amr mpga",
    "document": "txt markdown md mdx pdf html htm xlsx xls docx csv eml msg pptx ppt xml epub",
}


@dataclass(frozen=True, slots=True)
class SimFile:
    """A file that was taken in."""

    id: str
    name: str
    media: str
    content: bytes = field(repr=False)
    user: str = ""

    @property
    def kind(self) -> FileKind:
        ext = self.name.rpartition(".")[2].lower()
        return next(
            (kind for kind, listed in _EXTENSIONS.items() if ext in listed.split()), "custom"
        )


@dataclass(slots=True)
class Takes:
    """What an app accepts. ``kinds``: beside the question; ``fields``: variables of its form.

    ``sizes``: bytes by kind; ``said``: what speech-to-text hears, None = it is off.
    ``gateway_limit``: bytes, above which nginx answers 413 with a page, 0 = never.
    """

    kinds: tuple[FileKind, ...] = ()
    fields: dict[str, tuple[Literal["file", "file-list"], tuple[FileKind, ...]]] = field(
        default_factory=dict
    )
    most: int = 3
    sizes: dict[FileKind, int] = field(default_factory=lambda: {"image": 10 << 20})
    said: str | None = None
    gateway_limit: int = 0

    def limit(self, kind: FileKind) -> int:
        return self.sizes.get(kind, self.sizes.get("document", 15 << 20))

    def form(self) -> list[dict[str, Any]]:
        """Its file variables, as ``user_input_form`` lists them."""
        return [
            {
                kind: {
                    "variable": name,
                    "label": name,
                    "type": kind,
                    "required": False,
                    "max_length": self.most,
                    "allowed_file_types": list(kinds),
                    "allowed_file_extensions": [],
                    "allowed_file_upload_methods": ["local_file", "remote_url"],
                }
            }
            for name, (kind, kinds) in self.fields.items()
        ]

    def upload(self, *, chat: bool) -> dict[str, Any]:
        """``file_upload``, as kinds of app write it."""
        if not self.kinds:
            return {"enabled": False}
        both = ["local_file", "remote_url"]
        told: dict[str, Any] = {
            "enabled": True,
            "allowed_file_types": list(self.kinds),
            "allowed_file_extensions": [],
            "allowed_file_upload_methods": both,
            "number_limits": self.most,
        }
        if chat:
            image = {"enabled": "image" in self.kinds, "detail": "high"}
            told["image"] = image | {"number_limits": self.most, "transfer_methods": both}
        return told

    def limits(self) -> dict[str, int]:
        """``system_parameters``: whole megabytes."""
        return {
            "image_file_size_limit": self.limit("image") >> 20,
            "file_size_limit": self.limit("document") >> 20,
            "audio_file_size_limit": self.limit("audio") >> 20,
            "video_file_size_limit": self.limit("video") >> 20,
            "workflow_file_upload_limit": 10,
        }


class Files:
    """All that was taken in, by id, and what answers hold, by path.

    ``address``: what stands before the path of an answer's file; empty, as stock Dify has it.
    """

    def __init__(self) -> None:
        self.taken: dict[str, SimFile] = {}
        self.address = ""
        self.fetched: list[str] = []  # names
        self._given: dict[str, tuple[str, SimFile]] = {}  # signature and file, by path

    def give(self, name: str, content: bytes) -> SimFile:
        """A file of an answer: for five minutes, under a signature (dify-api §7)."""
        media = mimetypes.guess_type(name)[0] or "application/octet-stream"
        file = SimFile(str(uuid.uuid4()), name, media, content)
        self._given[_path(file)] = (uuid.uuid4().hex, file)
        return file

    def link(self, file: SimFile) -> str:
        sign = self._given[_path(file)][0]
        return f"{self.address}{_path(file)}?timestamp=1795345409&nonce=abc&sign={sign}%3D"

    def forget(self) -> None:
        """All signatures are over."""
        self._given.clear()

    def serve(self, request: web.Request) -> web.Response:
        """``GET /files/tools/…``: no key, the signature is enough."""
        sign, file = self._given.get(request.path, ("", None))
        if file is None or request.query.get("sign") != f"{sign}=":
            raise checks.refuse(403, "forbidden", "Invalid request.")
        self.fetched.append(file.name)
        return web.Response(body=file.content, content_type=file.media)

    def told(self, file: SimFile) -> dict[str, Any]:
        """A file object, as outputs and ``message_end`` hold it."""
        return {
            "dify_model_identity": "__dify__file__",
            "id": None,
            "type": file.kind,
            "transfer_method": "tool_file",
            "filename": file.name,
            "extension": "." + file.name.rpartition(".")[2],
            "mime_type": file.media,
            "size": len(file.content),
            "url": self.link(file),
        }

    async def take(self, request: web.Request, takes: Takes, version: Version) -> web.Response:
        """``POST /files/upload``."""
        file = await self._read(request, takes, version)
        if version != "0.15" and _BAD & set(file.name):
            raise checks.refuse(400, "invalid_param", "Filename contains invalid characters")
        if len(file.content) > takes.limit(file.kind):
            raise checks.refuse(413, "file_too_large", "File size exceeded. {message}")
        self.taken[file.id] = file
        told = {"id": file.id, "name": file.name, "size": len(file.content)}
        told |= {"extension": file.name.rpartition(".")[2], "mime_type": file.media}
        return web.json_response(told, status=201)

    async def hear(self, request: web.Request, takes: Takes, version: Version) -> web.Response:
        """``POST /audio-to-text``."""
        file = await self._read(request, takes, version)
        if takes.said is None:
            raise checks.refuse(400, "invalid_param", "Speech to text is not enabled")
        if file.media not in {f"audio/{it}" for it in _AUDIO[version].split()}:
            raise checks.refuse(415, "unsupported_audio_type", "Audio type not allowed.")
        return web.json_response({"text": takes.said})

    def asked(self, body: Mapping[str, Any], takes: Takes, version: Version) -> list[SimFile]:
        """The files of a request. Raises Refused; a kind that 0.15 does not take is dropped."""
        found = self._list(body.get("files") or [], takes.kinds, takes.most, version)
        for name, (shape, kinds) in takes.fields.items():
            value = body["inputs"].get(name)
            if value is None:
                continue
            if isinstance(value, list) is not (shape == "file-list"):
                raise checks.refuse(400, "invalid_param", f"{name} in input form must be a {shape}")
            many = value if isinstance(value, list) else [value]
            found += self._list(many, kinds, takes.most, version)
        return found

    def _list(
        self, given: list[Any], kinds: tuple[FileKind, ...], most: int, version: Version
    ) -> list[SimFile]:
        if not kinds:
            return []  # silently dropped where uploads are off (dify-api §1)
        found = []
        for item in given:
            file = self.taken.get(str(item.get("upload_file_id")))
            if item.get("transfer_method") != "local_file" or file is None:
                raise checks.refuse(400, "invalid_param", "Invalid upload file")
            if item.get("type") in kinds and (
                item["type"] == "custom" or file.kind == item["type"]
            ):
                found.append(file)
            elif version != "0.15":
                said = f"File validation failed for file: {file.name}"
                raise checks.refuse(400, "invalid_param", said)
        if len(found) > most:
            said = f"Number of image files exceeds the maximum limit {most}"
            raise checks.refuse(400, "invalid_param", said)
        return found

    async def _read(self, request: web.Request, takes: Takes, version: Version) -> SimFile:
        """The one part called ``file``."""
        if 0 < takes.gateway_limit < (request.content_length or 0):
            raise checks.page(413, "413 Request Entity Too Large")
        files: list[SimFile] = []
        user = ""
        if request.content_type == "multipart/form-data":
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader):
                    continue
                if part.name == "user":
                    user = await part.text()
                elif part.name == "file":
                    media = part.headers.get("Content-Type", "application/octet-stream")
                    content = bytes(await part.read())
                    files.append(SimFile(str(uuid.uuid4()), part.filename or "", media, content))
        if not files and version == "0.15":
            said = "The browser (or proxy) sent a request that this server could not understand."
            raise checks.refuse(400, "bad_request_key_error", said)
        if not files:
            raise checks.refuse(400, "no_file_uploaded", "Please upload your file.")
        if len(files) > 1:
            raise checks.refuse(400, "too_many_files", "Only one file is allowed.")
        one = files[0]
        return SimFile(one.id, one.name, one.media, one.content, user)


def _path(file: SimFile) -> str:
    return f"/files/tools/{file.id}.{file.name.rpartition('.')[2]}"
