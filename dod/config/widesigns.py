"""Signs of a Chinese input method where YAML wants ASCII ones.

Each looks at one line and tells what it sees: column, sentences, repaired line. Legal in a value:
they are asked only when something is wrong already (appliance §2, 26-29).
"""

import re
import unicodedata

from dod.config.source import Remark

# Chinese ones too: what they mean is told afterwards.
KEY = r"[\"']?[^\W\d][\w.-]*[\"']?"
HEAD = rf"^(?P<indent>\s*(?:-\s+)*)(?P<key>{KEY})"
Found = tuple[int, Remark, str | None] | None

CURLY = "“”‘’＂"
WIDE_OPENERS = ("｛", "［", "【", "「")
# What nobody sees and no credential holds; a joiner may stand in a name, for its emoji.
_UNSEEN = re.compile("[\u00ad\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


def wide_indent(line: str, _above: str) -> Found:
    match = re.match(r"[ \t]*[\u3000\u00a0]\s*", line)
    if not match or not line.strip():
        return None
    repaired = match[0].replace("\u3000", "  ").replace("\u00a0", " ") + line[match.end() :]
    return (
        re.search("[\u3000\u00a0]", line).start() + 1,  # type: ignore[union-attr]
        Remark(
            "缩进里有全角空格或不间断空格；请改用普通空格。",
            "Full-width or non-breaking space used for indentation; use ordinary spaces.",
            repaired.rstrip(),
            "wide space",
        ),
        repaired,
    )


def wide_gap(line: str, _above: str) -> Found:
    match = re.match(rf"(?P<before>\s*(?:-\s+)*{KEY}:|\s*-)[ \t]*[\u3000\u00a0]\s*", line)
    if not match:
        return None
    repaired = f"{match['before']} {line[match.end() :]}"
    return (
        re.search("[\u3000\u00a0]", line[len(match["before"]) :]).start()  # type: ignore[union-attr]
        + len(match["before"])
        + 1,
        Remark(
            "冒号或横线后面是全角空格或不间断空格；请改用普通空格。",
            "Full-width or non-breaking space after ':' or '-'; use an ordinary space.",
            repaired.strip(),
        ),
        repaired,
    )


def wide_hash(line: str, _above: str) -> Found:
    match = re.match(r"\s*＃", line)
    if not match:
        return None
    repaired = line.replace("＃", "#", 1)
    return (
        match.end(),
        Remark(
            "井号是全角“＃”；注释要以英文 # 开头。",
            "Full-width '＃'; a comment begins with an ASCII '#'.",
            repaired.strip(),
        ),
        repaired,
    )


def wide_dash(line: str, _above: str) -> Found:
    match = re.match(r"(\s*)[－—–•·](\s*)(?=\S)", line)
    if not match:
        return None
    repaired = f"{match[1]}- {line[match.end() :]}"
    return (
        len(match[1]) + 1,
        Remark(
            "列表的横线是全角或长横线；请用英文减号加一个空格。",
            "Not an ASCII '-': list items begin with '-' and a space.",
            repaired.strip(),
        ),
        repaired,
    )


def wide_colon(line: str, _above: str) -> Found:
    match = re.match(HEAD + r"\s*(?P<colon>：)\s*", line)
    if not match:
        return None
    repaired = f"{match['indent']}{match['key']}: {line[match.end() :]}"
    return (
        match.start("colon") + 1,
        Remark(
            "冒号是中文全角“：”；请用英文冒号加一个空格。",
            "Full-width colon; use an ASCII colon followed by a space.",
            repaired.strip(),
        ),
        repaired,
    )


def wide_bracket(line: str, _above: str) -> Found:
    match = re.match(HEAD + r":\s+[｛［【「]", line)
    if not match:
        return None
    start = match.end() - 1
    repaired = line[:start] + narrow(line[start:])
    return (
        match.end(),
        wide_brackets(repaired.strip()),
        repaired,
    )


def in_brackets(line: str, start: int) -> str:
    """``line`` with the full-width signs of its list or mapping at ``start`` written in ASCII."""
    return line[:start] + narrow(line[start:])


def narrow(text: str) -> str:
    """``text`` with ASCII brackets, commas and colons outside its quotes."""
    table = str.maketrans("｛｝［］【】「」", "{}[][][]")
    parts = re.split(r"(\"[^\"]*\"|'[^']*')", text)
    for number in range(0, len(parts), 2):
        part = parts[number].translate(table)
        parts[number] = re.sub(r"[，、]\s*", ", ", re.sub(r"：\s*", ": ", part))
    return "".join(parts)


def in_word(word: str) -> tuple[int, Remark, str] | None:
    """What a Chinese keyboard left in ``word``, which should be plain: offset, remark, the word.

    ``fix`` of the remark is empty: only the caller knows what stands before the word.
    """
    if match := _UNSEEN.search(word):
        return match.start(), UNSEEN, _UNSEEN.sub("", word)
    if match := re.search("[\uff01-\uff5e\u3000]", word):
        return match.start(), wide_sign(match[0]), unicodedata.normalize("NFKC", word)
    return None


def wide_brackets(fix: str) -> Remark:
    return Remark(
        "括号是全角的；请用英文括号：列表用 [ ]，一组设置用 { }。",
        "Full-width brackets; use ASCII ones: [ ] for a list, { } for a mapping.",
        fix,
    )


UNSEEN = Remark(
    "这里有一个看不见的字符（从网页或聊天里复制时带来的），请删掉。",
    "There is an invisible character here (copied from a web page or a chat); delete it.",
)


def wide_sign(sign: str) -> Remark:
    shown = "　（空格）" if sign == "\u3000" else sign
    return Remark(
        f"这里的“{shown}”是全角的；请改用半角（英文输入法）。",
        f"'{shown.strip()}' is full-width here; use the ASCII one.",
    )
