"""What the demo's simulated app says, topic by topic. See ``samples``."""

from collections.abc import Sequence

from dod.sim.dify.drawing import size_of
from dod.sim.dify.files import SimFile

# by topic, in Chinese and in English
TEXTS: dict[str, tuple[str, str]] = {
    "hello": (
        """
你好！👋 我是演示机器人，背后是一个模拟的 Dify 应用。

可以试试这样问我：

- **年假怎么算？**（表格和出处）
- **写一段代码**（代码块）
- **画一张图**（图片）
- **写一篇长文**（多张卡片，其余是文件）

也可以发图片、文件或语音给我，或者引用一条消息来追问。

这是我们的第 {turn} 轮对话，发送“新对话”可以重新开始。
""",
        """
Hello! 👋 I am the demo bot, with a simulated Dify app behind me.

You could ask me:

- **How much leave do I have?** (a table, and sources)
- **Write some code** (a code block)
- **Draw a chart** (a picture)
- **Write something long** (several cards, the rest as a file)

Or send me a picture, a file or a voice message, or quote a message and ask on.

This is turn {turn} of our conversation; send `/new` to start over.
""",
    ),
    "leave": (
        """
## 年假一览

根据《员工手册》第 3 章，年假按工龄计算：

| 工龄 | 年假 | 结转 |
|---|---|---|
| 1–9 年 | 5 天 | 至次年 3 月 |
| 10–19 年 | 10 天 | 至次年 3 月 |
| 20 年以上 | 15 天 | 至次年 6 月 |

申请步骤：

1. 在**工作台**打开“请假”
2. 选择“年假”和日期
3. 提交给直属主管

> 请至少提前 3 个工作日申请，详见[员工手册](https://example.com/handbook)。
""",
        """
## Annual leave

Chapter 3 of the handbook grants leave by years of service:

| Years | Days | Carried over |
|---|---|---|
| 1–9 | 5 | until March |
| 10–19 | 10 | until March |
| 20 and more | 15 | until June |

To apply:

1. Open **Leave** in the workplace
2. Choose *annual leave* and the days
3. Send it to your manager

> Please apply three working days ahead; see the [handbook](https://example.com/handbook).
""",
    ),
    "code": (
        """
## 统计行数

下面的脚本统计一个文件夹里每个文本文件的行数：

```python
from pathlib import Path

for path in sorted(Path(".").glob("*.txt")):
    lines = path.read_text(encoding="utf-8").splitlines()
    print(f"{path.name}: {len(lines)} 行")
```

要点：

- `glob` 只匹配 `.txt`
- **编码**写明为 UTF-8，中文不会乱码

更多用法见 [pathlib 文档](https://docs.python.org/zh-cn/3/library/pathlib.html)。
""",
        """
## Counting lines

This script counts the lines of every text file in a folder:

```python
from pathlib import Path

for path in sorted(Path(".").glob("*.txt")):
    lines = path.read_text(encoding="utf-8").splitlines()
    print(f"{path.name}: {len(lines)} lines")
```

Note:

- `glob` takes `.txt` only
- the **encoding** is named, so that umlauts survive

More in the [pathlib documentation](https://docs.python.org/3/library/pathlib.html).
""",
    ),
    "expenses": (
        """
## 报销怎么走

1. 整理**发票**，电子发票优先
2. 在工作台打开“报销”，每张发票一行
3. 主管审批，通常当天完成
4. 财务每周三打款

| 类别 | 上限 |
|---|---|
| 市内交通 | 100 元/天 |
| 差旅住宿 | 450 元/晚 |

还有问题？看[报销说明](https://example.com/expenses)，或直接继续问我。
""",
        """
## Claiming expenses

1. Collect the **invoices**, electronic ones if possible
2. Open *Expenses* in the workplace, one line each
3. Your manager approves, mostly on the same day
4. Finance pays every Wednesday

| Kind | Limit |
|---|---|
| Local transport | 100 a day |
| Hotel | 450 a night |

Questions? See [the guide](https://example.com/expenses), or just ask on.
""",
    ),
    "chart": (
        """
## 上半年访问量

| 月份 | 访问量 | 环比 |
|---|---|---|
| 4 月 | 310 | +7% |
| 5 月 | 420 | +35% |
| 6 月 | 480 | +14% |

6 月最高，比 1 月多了 **167%**：
""",
        """
## Visits, January to June

| Month | Visits | Change |
|---|---|---|
| April | 310 | +7% |
| May | 420 | +35% |
| June | 480 | +14% |

June was the best month, **167%** above January:
""",
    ),
    "else": (
        """
关于“{query}”，我整理了几点：

### 先说结论

这是一段**演示回答**：文字由模拟的 Dify 逐字生成，再由 dod 打到卡片上。

### 你可以继续

- 接着追问：现在是第 {turn} 轮，上下文会保留
- 问“年假怎么算”看表格，问“写一段代码”看代码块
- 打开 `bots.yaml` 改一行再保存，看机器人热更新

更多内容见 [Dify 文档](https://docs.dify.ai)。
""",
        """
A few words on “{query}”:

### In short

This is a **demo answer**: a simulated Dify writes it piece by piece, dod types it onto the card.

### What next

- ask on: this is turn {turn}, and the context is kept
- ask about *leave* for a table, or for *code* for a code block
- change a line of `bots.yaml`, save, and watch the bot take it over

More in the [Dify documentation](https://docs.dify.ai).
""",
    ),
}

_CHAPTER = (
    """
## 第 {n} 章 把第 {n} 件事做对

一件事做对，通常靠三样：**说清楚**要什么，**量得出**做到没有，出错时**看得见**。

1. 先写下怎样算做完，再动手
2. 每一步都留下能查的记录
3. 出错的那一步，先写一个会失败的测试

| 步骤 | 负责人 | 用时 |
|---|---|---|
| 准备 | 李雷 | {n} 天 |
| 实施 | 韩梅梅 | {m} 天 |

```python
def chapter_{n}():
    return "做完第 {n} 件事"
```
""",
    """
## Chapter {n}: getting thing number {n} right

Getting a thing right takes **saying** what is wanted, **measuring** whether it was reached, and
**seeing** it when it fails.

1. Write down what finished means, then begin
2. Leave a record of each step
3. For the step that failed, write a failing test first

| Step | Who | Days |
|---|---|---|
| Prepare | Li Lei | {n} |
| Do | Han Meimei | {m} |

```python
def chapter_{n}():
    return "thing {n} is done"
```
""",
)


def long_text(*, chinese: bool) -> str:
    """Longer than the cards of one answer may be."""
    chapter = _CHAPTER[0 if chinese else 1].strip()
    many = (
        chapter.replace("{n}", str(number)).replace("{m}", str(number * 2))
        for number in range(1, 17)
    )
    return "\n\n".join(many)


def looked(query: str, files: Sequence[SimFile], *, chinese: bool) -> str:
    """What was sent: kind, name, size, and what can be read of it."""
    lines = [_described(file, chinese=chinese) for file in files]
    if chinese:
        front = f"收到 {len(files)} 个文件，你问的是“{query}”：" if query else "收到："
        back = "这是模拟的 Dify，它看得到文件，看不懂画面；接上真实的视觉模型就能回答。"
    else:
        many = "a file" if len(files) == 1 else f"{len(files)} files"
        front = f"I have {many}, and you ask “{query}”:"
        back = "This Dify is simulated: it has the file, but no eyes. A real vision model answers."
    return "\n\n".join((front, "\n".join(f"- {line}" for line in lines), back))


def _described(file: SimFile, *, chinese: bool) -> str:
    size = f"{len(file.content) / 1000:.1f} kB"
    kind = _KINDS.get(file.kind, _KINDS["custom"])[0 if chinese else 1]
    told = f"**{kind}** `{file.name}`, {size}"
    if pixels := size_of(file.content):
        told += f", {pixels[0]} × {pixels[1]}"
    if file.kind == "document" and file.media.startswith("text/"):
        first = file.content.decode(errors="replace").strip().partition("\n")[0][:60]
        told += f": {first}"
    return told


_KINDS = {
    "image": ("图片", "Picture"),
    "document": ("文档", "Document"),
    "audio": ("语音", "Voice"),
    "video": ("视频", "Video"),
    "custom": ("文件", "File"),
}
