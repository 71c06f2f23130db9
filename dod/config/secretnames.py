"""What a secret is called in secrets.yaml: after its bot, if the bot's name can be part of it."""

import re
from collections.abc import Container

from dod.config.credentials import looks_secret

_ENDS = {
    "dingtalk_app_client_secret": "dingtalk_secret",
    "dify_app_api_key": "dify_key",
    "dify_api_url": "dify_url",  # where it carries a password
}


def secret_name(slug: str, key: str) -> str:
    """The name of the entry for ``key`` of the bot called ``slug`` here (empty: of no bot)."""
    return "_".join(part for part in (slug, _ENDS.get(key, key)) if part)


def slug_of(name: str, number: int, taken: Container[str] = ()) -> str:
    """A word for the bot ``name``, the ``number``-th of its file; none of ``taken``."""
    slug = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")[:30]
    whole = slug and name.isascii()
    if not whole or slug in taken or looks_secret(slug) or slug[0].isdigit():
        return f"bot{number}"
    return slug
