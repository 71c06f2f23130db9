"""Bytes → text: whatever Notepad and the like have made of a file.

UTF-8 is what it should be; UTF-16 and GBK are read and warned of (appliance §2, 42-44).
"""

import codecs

from dod.config.source import Remark

MAX_BYTES = 1_000_000

GBK = Remark(
    "文件是 GBK（ANSI）编码，已自动按 GBK 读取；请另存为 UTF-8。",
    "The file is GBK-encoded; read as GBK. Please save it as UTF-8.",
)
UTF16 = Remark(
    "文件是 UTF-16（“Unicode”）编码，已自动转换；请另存为 UTF-8。",
    "The file is UTF-16 (“Unicode”); it was converted. Please save it as UTF-8.",
)
BOM = Remark(
    "文件里有看不见的 BOM 字符（U+FEFF），已忽略；请另存为“UTF-8”（不带 BOM）。",
    "The file contains an invisible BOM (U+FEFF), ignored. Please save it as UTF-8 without BOM.",
)
GARBLED = Remark(
    "文件既不是 UTF-8 也不是 GBK 编码，读不出来；请另存为 UTF-8。",
    "The file is neither UTF-8 nor GBK and cannot be read. Please save it as UTF-8.",
)
CUT = Remark(
    "文件在一个字的中间断了（可能没有保存完，或磁盘满了）；请重新保存。",
    "The file ends in the middle of a character: perhaps not all of it was saved. Save it anew.",
)
NO_TEXT = Remark(
    "这是 Word、RTF、PDF 或压缩文件，不是文本文件；请用记事本另存为纯文本（UTF-8）。",
    "This is a Word, RTF, PDF or archive file and no text. Save it as plain text (UTF-8).",
)
_NO_TEXT = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"{\\rtf", b"%PDF", b"\x1f\x8b")
_WIDE = (
    ("utf-32-le", codecs.BOM_UTF32_LE),
    ("utf-32-be", codecs.BOM_UTF32_BE),
    ("utf-16-le", codecs.BOM_UTF16_LE),
    ("utf-16-be", codecs.BOM_UTF16_BE),
)
LOST = Remark(
    "这里有乱码（�）：文件曾用错误的编码保存过，原来的字已经丢失；请重新输入。",
    "Garbled character (\ufffd): the file was once saved in a wrong encoding. Type it again.",
)


Warned = tuple[int, Remark]  # at which character


def decode(data: bytes) -> tuple[str, tuple[Warned, ...], Remark | None]:
    """Text with Unix line ends; what to warn of; and why it could not be read, if so.

    Of what could not be read the text is what can be shown: U+FFFD stands for the rest.
    """
    if data.startswith(_NO_TEXT):
        return "", (), NO_TEXT
    warnings: list[Warned] = []
    fault = None
    try:
        text, warning = _decode(data)
    except UnicodeDecodeError:
        text, warning = data.decode("utf-8", "replace"), None
        fault = CUT if _is_cut(data) else GARBLED
    if warning:
        warnings.append((0, warning))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\ufeff" in text:
        warnings.append((text.index("\ufeff"), BOM))
        text = text.replace("\ufeff", "")
    return text, tuple(warnings), fault


def _decode(data: bytes) -> tuple[str, Remark | None]:
    for encoding, mark in _WIDE:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding), UTF16
    # Without a mark: of ASCII every other byte is zero.
    for encoding, zeros in (("utf-16-le", data[1:400:2]), ("utf-16-be", data[:400:2])):
        if len(data) % 2 == 0 and zeros.count(0) * 2 > len(zeros) > 2:
            text = data.decode(encoding, "replace")
            if not {"\0", "\ufffd"} & set(text):
                return text, UTF16
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError:
        if _is_cut(data):
            raise  # its end may be good GBK by accident, and all before it would be garbled
        return data.decode("gb18030"), GBK


def _is_cut(data: bytes) -> bool:
    """Whether it is UTF-8 that ends in the middle of a Chinese character, after others."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as exc:
        return exc.reason == "unexpected end of data" and not data[: exc.start].isascii()
    return False
