"""What a file is: by its first bytes where they tell, else by its name.

DingTalk's addresses all end in ``.file`` and pictures have no name, so bytes go first (§7). Dify
sorts files by extension into kinds (dify-api §1); these are its lists.
"""

import mimetypes

from dod.messages import Attachment, FileKind, FileRule

_BY_BYTES = (  # offset, bytes, extension, MIME type
    (0, b"\x89PNG\r\n\x1a\n", "png", "image/png"),
    (0, b"\xff\xd8\xff", "jpg", "image/jpeg"),
    (0, b"GIF8", "gif", "image/gif"),
    (8, b"WEBP", "webp", "image/webp"),
    (0, b"BM", "bmp", "image/bmp"),
    (0, b"%PDF-", "pdf", "application/pdf"),
    (0, b"#!AMR", "amr", "audio/amr"),
    (0, b"ID3", "mp3", "audio/mp3"),
    (8, b"WAVE", "wav", "audio/wav"),
    (4, b"ftypM4A", "m4a", "audio/m4a"),
    (4, b"ftyp", "mp4", "video/mp4"),
)
HEAD = 16  # bytes that are looked at

_EXTENSIONS: dict[FileKind, str] = {
    "image": "jpg jpeg png webp gif svg",
    "video": "mp4 mov mpeg webm",
    "audio": "mp3 m4a wav amr mpga",
    "document": "txt markdown md mdx pdf html htm xlsx xls vtt properties doc docx csv eml msg "
    "pptx ppt xml epub",
}
_KINDS = {ext: kind for kind, listed in _EXTENSIONS.items() for ext in listed.split()}
# What Python's table lacks, or what Dify wants to be called otherwise (dify-api §5).
_MEDIA = {"md": "text/markdown", "mp3": "audio/mp3", "m4a": "audio/m4a", "amr": "audio/amr"}


def named(attachment: Attachment, head: bytes) -> tuple[str, str]:
    """The name to upload it by, and its MIME type."""
    found = next((it for it in _BY_BYTES if head[it[0] :].startswith(it[1])), None)
    name = safe_name(attachment.name)
    if found and not name:
        return f"{attachment.kind}.{found[2]}", found[3]
    if found and attachment.kind == "picture":
        return f"{name.rpartition('.')[0] or name}.{found[2]}", found[3]
    media = _MEDIA.get(extension(name)) or mimetypes.guess_type(name)[0]
    return name or attachment.kind, media or "application/octet-stream"


def is_picture(head: bytes) -> bool:
    """Whether the bytes begin as a picture does that models can read."""
    return any(
        head[at:].startswith(mark) and media.startswith("image/")
        for at, mark, _, media in _BY_BYTES
    )


def extension_of(head: bytes) -> str:
    """What the first bytes say; "" if they say nothing."""
    return next((it[2] for it in _BY_BYTES if head[it[0] :].startswith(it[1])), "")


def taken_as(attachment: Attachment, rule: FileRule) -> FileKind | None:
    """The kind under which ``rule`` takes ``attachment``; None if it does not."""
    kind, ext = kind_of_file(attachment), extension(attachment.name)
    if kind is not None and kind in rule.kinds:
        return kind
    listed = not rule.extensions or ext in rule.extensions
    return "custom" if "custom" in rule.kinds and ext and listed else None


def kind_of_file(attachment: Attachment) -> FileKind | None:
    """Dify's word for it; None for an extension that is on no list of Dify's."""
    if attachment.kind == "picture":
        return "image"
    if attachment.kind == "file":
        return _KINDS.get(extension(attachment.name))
    return attachment.kind


def extension(name: str) -> str:
    """In lower case, without a dot; "" if there is none."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def safe_name(name: str) -> str:
    """Without a path, and without what Dify refuses in a name (dify-api §6)."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join("_" if char in '/\\:*?"<>|' or char < " " else char for char in last)
    return kept.strip(". ")[-120:]
