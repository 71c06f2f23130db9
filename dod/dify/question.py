"""A question as Dify wants it told: the JSON of its request."""

from typing import Literal

from dod.messages import Question, UploadedFile, digest
from dod.ports import Json

Kind = Literal["chatbot", "completion", "workflow"]  # of app

_USER_LONGEST = 255  # characters; more is answered with HTTP 500


def body_of(question: Question, kind: Kind) -> Json:
    """What an app of ``kind`` is sent."""
    fields = {name: _as_input(held) for name, held in question.fields.items()}
    body: Json = {
        "inputs": {**question.inputs, **fields},
        "user": user_of(question.user),
        "response_mode": "streaming",
    }
    if question.files:
        body["files"] = [_as_file(file) for file in question.files]
    if kind == "chatbot":
        body["query"] = question.text
        # Else the first turn's stream stays open until a title is written (dify-api §2).
        body["auto_generate_name"] = False
        if question.conversation_id:
            body["conversation_id"] = question.conversation_id
    return body


def user_of(user: str) -> str:
    """Whom Dify is told that it speaks to."""
    return user if len(user) <= _USER_LONGEST else digest(user)


def _as_file(file: UploadedFile) -> Json:
    return {"type": file.kind, "transfer_method": "local_file", "upload_file_id": file.id}


def _as_input(held: UploadedFile | tuple[UploadedFile, ...]) -> Json | list[Json]:
    if isinstance(held, UploadedFile):
        return _as_file(held)
    return [_as_file(file) for file in held]
