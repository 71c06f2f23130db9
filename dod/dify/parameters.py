"""What an app takes beside text, from its ``/parameters`` (dify-api §8). Lenient.

Versions and kinds of app write it differently: 0.6 only ``image``, chats ``image`` beside the rest,
chatflows and workflows the rest alone. Sending a file that an app does not take is answered by
silence (0.15) or a 400 (1.13), so this is asked before.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dod.messages import Abilities, FileField, FileKind, FileRule

_KINDS: frozenset[FileKind] = frozenset({"image", "document", "audio", "video", "custom"})
_SIZES: dict[str, tuple[FileKind, int]] = {  # the key, what it limits, Dify's default in MB
    "image_file_size_limit": ("image", 10),
    "file_size_limit": ("document", 15),
    "audio_file_size_limit": ("audio", 50),
    "video_file_size_limit": ("video", 100),
}
_MOST = 3  # files, where the app does not say


def abilities(parameters: Mapping[str, Any]) -> Abilities:
    """Read the answer to ``GET /parameters``; what is missing or odd is no ability."""
    limits = _object(parameters.get("system_parameters"))
    sizes: dict[FileKind, int] = {}
    for name, (kind, usual) in _SIZES.items():
        sizes[kind] = _number(limits.get(name), usual) * 1024 * 1024
    sizes["custom"] = sizes["document"]
    return Abilities(
        files=_beside(_object(parameters.get("file_upload"))),
        fields=tuple(_fields(parameters.get("user_input_form"))),
        sizes=sizes,
        hears=_object(parameters.get("speech_to_text")).get("enabled") is True,
    )


def _beside(upload: dict[str, Any]) -> FileRule | None:
    image = _object(upload.get("image"))
    pictures = image.get("enabled") is True
    if not pictures and upload.get("enabled") is not True:
        return None
    rule = _rule(upload, _number(upload.get("number_limits"), 0))
    kinds = rule.kinds if upload.get("enabled") is True else frozenset[FileKind]()
    if pictures:
        kinds |= {"image"}
    most = rule.most or _number(image.get("number_limits"), 0) or _MOST
    return FileRule(kinds, rule.extensions, most) if kinds else None


def _fields(form: object) -> Iterator[FileField]:
    for item in form if isinstance(form, list) else ():
        for kind, field in _object(item).items():
            told = _object(field)
            variable = told.get("variable")
            if kind in {"file", "file-list"} and isinstance(variable, str) and variable:
                many = kind == "file-list"
                most = _number(told.get("max_length"), _MOST) if many else 1
                yield FileField(variable, _rule(told, most or _MOST), many)


def _rule(told: dict[str, Any], most: int) -> FileRule:
    kinds = {it for it in _list(told.get("allowed_file_types")) if it in _KINDS}
    extensions = {it.lower().lstrip(".") for it in _list(told.get("allowed_file_extensions"))}
    methods = _list(told.get("allowed_file_upload_methods"))
    if methods and "local_file" not in methods:  # it only takes addresses
        kinds = set()
    return FileRule(frozenset(kinds), frozenset(extensions), most)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[str]:
    return [it for it in value if isinstance(it, str)] if isinstance(value, list) else []


def _number(value: object, usual: int) -> int:
    """0.6 writes some of them as text."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else usual
