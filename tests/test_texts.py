"""Every sentence in both languages, with the same placeholders; errors point at sentences."""

import re

import pytest

from dod import errors, texts


@pytest.mark.parametrize("key", sorted(texts.SENTENCES))
def test_both_languages_say_the_same(key: str) -> None:
    chinese, english = texts.SENTENCES[key]
    assert chinese.strip()
    assert english.strip()
    assert set(re.findall(r"\{\w+\}", chinese)) == set(re.findall(r"\{\w+\}", english))
    if key != "failed":
        assert re.search(r"[\u4e00-\u9fff]", chinese)
    assert not re.search(r"[\u4e00-\u9fff]", english)


def test_sentences_differ() -> None:
    chinese = [zh for zh, _ in texts.SENTENCES.values()]
    assert len(set(chinese)) == len(chinese)


def test_every_error_has_a_sentence() -> None:
    kinds = [errors.DodError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        assert kind.key in texts.SENTENCES


@pytest.mark.parametrize(
    ("language", "text", "tongue"),
    [
        ("auto", "请问年假有几天", "zh"),
        ("auto", "How many days of leave?", "en"),
        ("auto", "hi 你好", "zh"),
        ("auto", "/new", "zh"),
        ("auto", "", "zh"),
        ("zh", "How many days of leave?", "zh"),
        ("en", "请问", "en"),
    ],
)
def test_people_are_answered_in_their_language(language: str, text: str, tongue: str) -> None:
    assert texts.tongue(language, text) == tongue


def test_values_are_put_in_plainly() -> None:
    assert "3" in texts.say("waiting", "en", place=3)
    assert "{place}" in texts.say("failed", "en", reason="{place}")
