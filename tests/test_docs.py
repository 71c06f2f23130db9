"""The documents: every link leads somewhere, both languages are there, every surface is named."""

import json
import re
import unicodedata
from pathlib import Path

import pytest

from dod.bridge.commands import WORDS
from dod.cli import _parser
from dod.config import implicit
from dod.config.environment import ORIGINAL, READERS
from dod.config.schema import schema_text
from dod.config.tags import TAGS
from dod.notice import STATES
from dod.texts import SENTENCES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    page.relative_to(ROOT).as_posix() for page in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"))
)
# For the admin in one page that both can read; all others have a page for each language.
BILINGUAL = ("README.md", "benchmarks.md", "config-errors.md", "markdown.md")
DEVELOPERS = ("architecture.md",)
KEYS = ("configuration.md", "configuration.zh-CN.md")


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def prose(page: str) -> str:
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```", "", text(page), flags=re.DOTALL | re.MULTILINE)


def anchors(page: str) -> set[str]:
    """As GitHub makes them of headings."""
    found = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {_anchor(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)) for heading in found}


def _anchor(heading: str) -> str:
    kept = (
        char
        for char in heading.strip().lower()
        if char in " -_" or unicodedata.category(char)[0] in "LN"
    )
    return "".join(kept).replace(" ", "-")


# -- links


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_project_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.relative_to(ROOT).as_posix()), link


def test_a_broken_link_would_be_found() -> None:
    assert _anchor("What is `promised`, and why?") == "what-is-promised-and-why"
    assert _anchor("不用 Docker") == "不用-docker"
    assert "the-tree-read-aloud" in anchors("docs/architecture.md")


def test_the_index_names_every_page_and_every_decision_is_listed() -> None:
    index = text("docs/README.md")
    for page in DOCS.glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name
    for page in (DOCS / "decisions").iterdir():
        assert f"(decisions/{page.name})" in text("docs/architecture.md"), page.name


# -- languages


def test_admins_read_every_page_in_both_languages() -> None:
    names = {page.name for page in DOCS.glob("*.md")}
    for name in names - {*BILINGUAL, *DEVELOPERS}:
        other = name.replace(".zh-CN.md", ".md")
        assert other != name or name.replace(".md", ".zh-CN.md") in names, name
        assert other in names, name
    for name in BILINGUAL:
        assert len(re.findall(r"[\u4e00-\u9fff]", text(f"docs/{name}"))) > 50, name


def test_pages_of_two_languages_link_each_other() -> None:
    for page in DOCS.glob("*.zh-CN.md"):
        english = page.name.replace(".zh-CN.md", ".md")
        assert f"]({english})" in page.read_text("utf-8"), page.name
        assert f"]({page.name})" in text(f"docs/{english}"), english


# -- what is documented is what there is


def rows(page: str, table: str) -> dict[str, str]:
    """The table behind its marker: key → default."""
    found = text(f"docs/{page}").split(f"<!-- keys:{table} -->")[1].strip().split("\n\n")[0]
    cells = [row.split("|") for row in found.splitlines()[2:]]
    return {cell[1].strip().strip("`"): cell[2].strip() for cell in cells}


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize("page", KEYS)
def test_the_tables_name_every_key_of_the_schema(page: str) -> None:
    schema = json.loads(schema_text())
    bot, top = rows(page, "bot"), rows(page, "top")
    assert sorted(bot) == sorted(schema["$defs"]["bot"]["properties"])
    assert sorted(top) == sorted(schema["properties"])
    for key, default in (bot | top).items():
        rule = schema["$defs"].get(key) or schema["properties"][key]
        usual = rule.get("default")
        if isinstance(usual, int | list):
            assert json.dumps(usual) in default, key
        elif rule.get("enum"):
            assert f"`{usual}`" in default, key
        elif rule.get("properties") and default != "–":
            for name, inner in rule["properties"].items():
                assert f"{name}: {_written(inner['default'])}" in default, key


@pytest.mark.parametrize("page", KEYS)
def test_every_surface_is_named(page: str) -> None:
    told = text(f"docs/{page}")
    words = [*READERS, *ORIGINAL, *implicit.VARIABLES, *STATES]
    words += [word for word in WORDS if word.startswith("/")]
    words += ["/api/status", "/healthz", "/readyz", "/metrics"]
    for word in words:
        assert f"`{word}`" in told, word
    for word in (*TAGS, *(word for word in WORDS if not word.startswith("/"))):
        assert word in told, word
    for command in re.findall(
        r"^  (\w+) ", _parser().format_help().split("options:")[0], re.MULTILINE
    ):
        assert f"`dod {command}" in told, command


@pytest.mark.parametrize("page", ["credentials.md", "credentials.zh-CN.md"])
def test_what_the_admin_sees_is_what_dod_says(page: str) -> None:
    said = "\n".join(
        sentence for pair in (*SENTENCES.values(), *STATES.values()) for sentence in pair
    )
    quoted = [
        quote
        for line in text(f"docs/{page}").splitlines()
        if line.startswith("| ")
        for quote in re.findall(r'"([^"]+)"|“([^”]{12,})”', line.split("|")[1])
    ]
    assert len(quoted) >= 5
    for english, chinese in quoted:
        assert (english or chinese) in said, (english, chinese)


def test_the_map_is_that_of_the_tree() -> None:
    drawn = text("CONTRIBUTING.md").split("```")[1]
    units = {
        f"{unit.name}/" if unit.is_dir() else unit.name
        for unit in (ROOT / "dod").iterdir()
        if not unit.name.startswith("_") and unit.suffix in {"", ".py"}
    }
    named = set(re.findall(r"(?<![\w/])([a-z]+(?:\.py|/))", drawn))
    assert units - named == set()
    for name in named:
        assert (
            (ROOT / "dod" / name).exists()
            or (ROOT / name).exists()
            or (ROOT / "tests" / name).exists()
            or (DOCS / name).exists()
        ), name


def test_the_flows_pass_files_that_exist() -> None:
    modules = {path.name for path in (ROOT / "dod").rglob("*.py")}
    modules |= {path.name for path in (ROOT / "tests").rglob("*.py")}
    for path in re.findall(r"`(?:[\w/]+/)?(\w+\.py)`", text("docs/architecture.md")):
        assert path in modules, path


def test_no_page_names_a_folder_of_somebodys_machine() -> None:
    for page in PAGES:
        for word in ("/work/", "/tmp/", "/root/", "/home/"):
            assert word not in text(page), (page, word)
