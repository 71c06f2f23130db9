"""docs/config-errors.md out of ``configs/``: every mistake, and what dod says.

``python -m tests.configs_page`` writes it anew; tests/test_config_page.py fails when it is stale.
"""

from pathlib import Path

from tests.test_config_texts import CONFIGS, FILES, expected, read

PAGE = Path(__file__).parent.parent / "docs" / "config-errors.md"
HEAD = """\
# What dod says about a mistake in bots.yaml · bots.yaml 写错了，dod 会怎么说

Each mistake is a file in [tests/configs](../tests/configs), and a test; this page is made of them
(`python -m tests.configs_page`). The same words stand in `bots.status.txt` beside your file, on the
status page, in the log, and in what `dod check` prints. Whatever a file looks like, the bots that
run go on running. Secrets are never shown (`••••••`).

每种错误都是 [tests/configs](../tests/configs) 里的一个文件，本页由它们生成。同样的话会出现在
`bots.status.txt`、状态页、日志和 `dod check` 里。不管文件写成什么样，正在运行的机器人都会继续运行；
密钥一律显示为 `••••••`。
"""
# By what a person did; the order is that of the page. A file that breaks nothing is in none.
SECTIONS = {
    "Signs of a Chinese keyboard · 中文输入法的标点": """
        full-width-colon full-width-colon-secret full-width-colon-everywhere
        full-width-colon-after-bots full-width-colon-chinese-key full-width-colon-in-braces
        full-width-comma full-width-comma-list full-width-comma-in-braces full-width-semicolon
        full-width-bracket full-width-brace full-width-dash em-dash full-width-hash
        full-width-hash-line full-width-exclamation full-width-star full-width-digits
        full-width-url full-width-in-secret placeholder-full-width curly-quotes
        curly-quotes-one-side curly-quotes-inside curly-quotes-key full-width-quotes""",
    "Spaces, tabs and what nobody sees · 空格、Tab 和看不见的字符": """
        full-width-space-indent full-width-space-after-colon full-width-space-after-dash
        nbsp-indent nbsp-indent-everywhere
        nbsp-after-colon zero-width-space zero-width-in-value tab-indent
        tabs-everywhere tab-after-colon tab-after-dash tab-before-comment tab-at-line-end control
        form-feed next-line-sign escape-surrogate escape-nul escape-c1 escape-control-in-key
        escape-in-tag""",
    "Colons and dashes · 冒号和横线": """
        missing-space-after-colon missing-space-in-braces missing-colon equals-sign
        missing-space-after-dash missing-space-after-dash-everywhere missing-dash double-dash
        colon-in-value""",
    "Lining up · 缩进": """
        misaligned misaligned-shallower misaligned-list misaligned-bot misaligned-twice
        indented-too-deep dash-indented-further keys-not-indented
        bot-key-at-top-level top-level-key-under-bot""",
    "Twice · 写了两次": """
        duplicate-key duplicate-three duplicate-in-braces duplicate-bots same-name same-client-id
        same-client-id-included""",
    "Quotes and brackets · 引号和括号": """
        unclosed-quote unclosed-quote-at-end unclosed-quote-before-another
        quote-left-open-in-secret words-after-quote backslash-in-quotes quoted-line open-bracket
        json-trailing too-deep""",
    "What a value must not begin with · 值的开头": """
        special-start backtick-start percent-start bracket-start brace-placeholder
        brace-placeholder-start pipe-text bare-star star-in-text ampersand-value anchor-only
        anchor-unknown anchor-with-space merge-key-text alias-itself anchor-expands""",
    "Numbers, dates, yes and no · 数字、日期、是和否": """
        bare-number bare-number-secret bare-number-in-list bare-float octal hex date
        yes-for-true yes-quoted quoted-true bool-for-text bool-for-int text-for-int
        number-with-unit decimal-number expire-minutes-in-words too-small integer-too-long
        hex-endless""",
    "Nothing there · 空的": """
        empty-value empty-optional-value empty-quotes empty-section empty-list-item empty-bot
        bare-null tilde unfilled empty only-comments no-bots bots-empty bots-none defaults-empty
        missing-required hash-starts-secret""",
    "Names that do not exist · 名字写错": """
        unknown-key unknown-key-in-conversation unknown-top-level-key key-with-dashes
        key-of-the-web-console bots-capital bot-singular unknown-handler unknown-app-type
        agent-app-type unknown-card-updates unknown-group unknown-language unknown-placeholder
        thinking-unknown
        caret-after-chinese""",
    "One value, a list, or settings · 值、列表、一组设置": """
        bots-mapping not-a-mapping list-at-top list-for-one text-for-list mapping-for-list
        key-is-list defaults-list""",
    "Addresses · 网址": """
        url-without-scheme url-bad-port url-with-space url-inline http-to-a-public-host""",
    "Secrets, variables and other files · 密钥、变量、其他文件": """
        unknown-secret secret-after-tag words-after-secret-name empty-secret unknown-tag
        unknown-tag-include capital-tag tag-with-colon tag-without-space tag-without-bang
        tag-with-space tag-quoted tag-on-mapping tag-as-key strange-tag python-tag binary-tag
        env-tag env-dollar env-braces unset-variable bearer-key space-in-key chinese-in-secret
        hash-after-secret hash-in-secret secret-in-clear include-missing include-outside
        include-cycle include-broken""",
    "secrets.yaml": """
        secrets-full-width-colon secrets-curly-quotes secrets-number secrets-empty-value
        secrets-unfilled secrets-hash secrets-duplicate secrets-nested secrets-list
        secrets-unused secrets-escape""",
    "Defaults · 默认值": """
        bad-default required-in-defaults default-of-nobody default-without-workflow
        default-without-cards""",
    "How the file was saved · 文件是怎么保存的": """
        gbk gbk-mistake utf16 utf16-no-bom utf32 bom bom-in-the-middle garbled half-utf8
        replacement-character nul nul-inside nul-only word-document rtf-document two-documents
        two-documents-end conflict conflict-inside markdown-fence""",
    "Several at once · 多处错误": """
        many-mistakes one-bot-wrong every-key""",
}


def page() -> str:
    parts = [HEAD]
    for title, stems in SECTIONS.items():
        parts.append(f"## {title}\n")
        for stem in stems.split():
            text = expected(CONFIGS / f"{stem}.yaml").read_text("utf-8").rstrip()
            parts.append(f"### {stem.replace('-', ' ')}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def wrong() -> set[str]:
    """The files of which dod has something to say."""
    return {path.stem for path in FILES if read(path).problems}


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
