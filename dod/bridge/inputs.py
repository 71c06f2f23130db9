"""What a Dify app is asked: the text with what it answers, and the variables of ``dify_inputs``."""

from dataclasses import replace

from dod.bridge.attachments import Prepared
from dod.bridge.markdown import joined
from dod.config.spec import BotSpec
from dod.messages import Message, Question


def question_of(message: Message, asked: Prepared, spec: BotSpec, user: str) -> Question:
    """``asked``: the text, and the files that were handed over. A quote stands before the text."""
    text = joined(quoted(message.quote), asked.text)
    return Question(
        text=text,
        user=user,
        inputs=render_inputs(spec, replace(message, text=text)),
        files=asked.files,
        fields=asked.fields,
    )


def render_inputs(spec: BotSpec, message: Message) -> dict[str, str]:
    """``dify_inputs`` with its placeholders filled by plain substitution, in one pass."""
    values = {
        "{text}": message.text,
        "{sender_name}": message.sender.nick,
        "{sender_id}": message.sender.key,
        "{chat_title}": message.chat.title,
        "{chat_type}": message.chat.kind,
        "{corp_id}": message.corp_id,
    }
    return {name: _substitute(template, values) for name, template in spec.dify_inputs}


def quoted(text: str) -> str:
    """What a message answers, as Markdown: models know a quote when they see one."""
    return "\n".join(f"> {line}" for line in text.splitlines())


def _substitute(template: str, values: dict[str, str]) -> str:
    """One pass, so that a person's text cannot bring in another placeholder."""
    rendered, rest = "", template
    while "{" in rest:
        before, rest = rest.split("{", 1)
        rendered += before
        placeholder = next((name for name in values if ("{" + rest).startswith(name)), None)
        rendered += "{" if placeholder is None else values[placeholder]
        rest = rest if placeholder is None else rest[len(placeholder) - 1 :]
    return rendered + rest
