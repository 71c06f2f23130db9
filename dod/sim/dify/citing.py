"""The documents that an answer cites, as ``message_end`` names them (dify-api §10, recorded)."""

import uuid
from collections.abc import Sequence
from typing import Any

from dod.sim.dify.kinds import Version

_NEW = "hit_count word_count segment_position index_node_hash page doc_metadata title files summary"


def resources(names: Sequence[str], version: Version) -> list[dict[str, Any]]:
    """``retriever_resources``: since 1.x all keys are there, most of them null."""
    return [_one(name, position, version) for position, name in enumerate(names, 1)]


def _one(name: str, position: int, version: Version) -> dict[str, Any]:
    told: dict[str, Any] = {
        "position": position,
        "dataset_id": str(uuid.uuid5(uuid.NAMESPACE_OID, "dataset")),
        "dataset_name": "Handbook",
        "document_id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        "document_name": name,
        "data_source_type": "upload_file",
        "segment_id": str(uuid.uuid4()),
        "retriever_from": "api",
        "score": 0.0 if version == "0.15" else round(0.9 / position, 4),
        "content": f"A passage of {name}.",
    }
    return told if version == "0.15" else told | dict.fromkeys(_NEW.split())
