"""A bar chart as a PNG, made of nothing but numbers: the demo's answer with a picture."""

import struct
import zlib
from collections.abc import Sequence

Colour = tuple[int, int, int]

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 44, 56  # pixels around the bars
_PAPER: Colour = (255, 255, 255)
_GRID: Colour = (226, 230, 236)
_INK: Colour = (92, 101, 115)
_FROM: Colour = (96, 165, 250)  # of a bar: its top
_TO: Colour = (29, 91, 208)
_DOT = 3  # pixels of one dot of a digit
_DIGITS = (  # 0 to 9, each 3 dots wide and 5 high
    *("111101101101111", "010110010010111", "111001111100111", "111001111001111"),
    *("101101111001001", "111100111001111", "111100111101111", "111001010010010"),
    *("111101111101111", "111101111001111"),
)


class _Canvas:
    def __init__(self) -> None:
        self.rows = [bytearray(bytes(_PAPER) * _WIDTH) for _ in range(_HEIGHT)]

    def fill(self, left: int, top: int, width: int, height: int, colour: Colour) -> None:
        for row in self.rows[top : top + height]:
            row[left * 3 : (left + width) * 3] = bytes(colour) * width

    def number(self, value: int, centre: int, top: int) -> None:
        text = str(value)
        left = centre - len(text) * 2 * _DOT
        for at, digit in enumerate(text):
            for dot, on in enumerate(_DIGITS[int(digit)]):
                if on == "1":
                    x, y = left + at * 4 * _DOT + dot % 3 * _DOT, top + dot // 3 * _DOT
                    self.fill(x, y, _DOT, _DOT, _INK)

    def png(self) -> bytes:
        """True colour, no filter, one chunk of pixels."""
        head = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 2, 0, 0, 0)
        pixels = zlib.compress(b"".join(b"\0" + row for row in self.rows), 9)
        chunks = ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def bars(values: Sequence[int], step: int = 100) -> bytes:
    """A bar for each value, numbered from 1; a line every ``step``."""
    canvas = _Canvas()
    top = -(-max(values) // step) * step
    room = _HEIGHT - _TOP - _BOTTOM
    floor = _HEIGHT - _BOTTOM
    for level in range(0, top + 1, step):
        y = floor - level * room // top
        canvas.fill(_LEFT, y, _WIDTH - _LEFT - _RIGHT, 1, _GRID if level else _INK)
        canvas.number(level, _LEFT // 2 + 6, y - 7)
    pitch = (_WIDTH - _LEFT - _RIGHT) // len(values)
    width = pitch * 11 // 20
    for at, value in enumerate(values):
        left = _LEFT + at * pitch + (pitch - width) // 2
        height = value * room // top
        for y in range(height):
            canvas.fill(left, floor - height + y, width, 1, _mixed(y / room))
        for corner in range(6):  # rounded
            inset = 6 - round((36 - (6 - corner) ** 2) ** 0.5)
            canvas.fill(left, floor - height + corner, inset, 1, _PAPER)
            canvas.fill(left + width - inset, floor - height + corner, inset, 1, _PAPER)
        canvas.number(value, left + width // 2, floor - height - 22)
        canvas.number(at + 1, left + width // 2, floor + 18)
    return canvas.png()


def size_of(png: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, if it is a PNG."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n") or len(png) < 24:
        return None
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _mixed(share: float) -> Colour:
    first, second, third = (round(a + (b - a) * share) for a, b in zip(_FROM, _TO, strict=True))
    return first, second, third


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
