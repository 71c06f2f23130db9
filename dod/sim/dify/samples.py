"""The script of ``dod demo``: canned answers that are pleasant to watch, chosen by keywords."""

from collections.abc import Mapping
from typing import Any

from dod.sim.dify.scripts import Answer, cut


def demo(query: str, turn: int, _user: str, _inputs: Mapping[str, Any]) -> Answer:
    """Answer in the language of the question, at a speed that can be read."""
    chinese = any("\u4e00" <= char <= "\u9fff" for char in query)
    said = query.lower()
    topic = next(
        (topic for topic, words in _TOPICS.items() if any(word in said for word in words)), "else"
    )
    text = _TEXTS[topic][0 if chinese else 1].strip()
    text = text.replace("{query}", query).replace("{turn}", str(max(turn, 1)))
    tokens = cut(text, 2 if chinese else 5)
    return Answer(text, interval=0.045, first_delay=0.5, tokens=tokens)


_TOPICS = {
    "hello": ("你好", "您好", "hello", "hi there", "hey"),
    "leave": ("年假", "假期", "请假", "leave", "holiday", "vacation"),
    "code": ("代码", "程序", "脚本", "code", "python", "script"),
    "expenses": ("报销", "发票", "费用", "expense", "claim", "invoice"),
}

# by topic, in Chinese and in English
_TEXTS: dict[str, tuple[str, str]] = {
    "hello": (
        """
你好！👋 我是演示机器人，背后是一个模拟的 Dify 应用。

可以试试这样问我：

- **年假怎么算？**（表格）
- **写一段代码**（代码块）
- **怎么报销？**（步骤）

这是我们的第 {turn} 轮对话，发送“新对话”可以重新开始。
""",
        """
Hello! 👋 I am the demo bot, with a simulated Dify app behind me.

You could ask me:

- **How much leave do I have?** (a table)
- **Write some code** (a code block)
- **How do I claim expenses?** (steps)

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
