"""A language server over its own protocol, as an editor talks to it.

https://microsoft.github.io/language-server-protocol: JSON-RPC with a Content-Length, over stdio.
"""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Self

Json = dict[str, Any]
PATIENCE = 40  # seconds: node starts slowly on a busy machine


class LanguageServer:
    """``with LanguageServer(command, folder, settings, environ) as server``.

    ``folder`` is what the editor has opened, ``settings`` its settings.json, keys with dots.
    Thread: one reads what the server says; everything else is the caller's.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, settings: Json, environ: dict[str, str]
    ) -> None:
        self._command = command
        self._folder = folder
        self._settings = settings
        self._environ = environ
        self._said: queue.Queue[Json | None] = queue.Queue()
        self._number = 0
        self._version = 0
        self._answers: dict[int, Json] = {}
        self._diagnostics: dict[str, list[Json]] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environ,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._in: IO[bytes] = self._process.stdin
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.start()
        uri = self._folder.as_uri()
        self.ask(
            "initialize",
            {
                "processId": None,
                "rootUri": uri,
                "workspaceFolders": [{"uri": uri, "name": "config"}],
                "capabilities": {
                    "workspace": {
                        "configuration": True,
                        "didChangeConfiguration": {"dynamicRegistration": True},
                        "workspaceFolders": True,
                    },
                    "textDocument": {
                        "completion": {
                            "completionItem": {
                                "snippetSupport": True,
                                "documentationFormat": ["markdown"],
                            }
                        },
                        "hover": {"contentFormat": ["markdown"]},
                        "publishDiagnostics": {"relatedInformation": True},
                    },
                },
            },
        )
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": {}})
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._process.poll() is None:
                self.ask("shutdown", None)
                self._tell("exit", None)
                self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._in.close()
            self._reader.join(PATIENCE)
            assert self._process.stdout
            self._process.stdout.close()

    # -- what an editor does

    def show(self, path: Path, text: str) -> list[Json]:
        """Open ``path`` with ``text`` and close it again; returns its diagnostics."""
        uri = self.open(path, text)
        diagnostics = self.diagnostics(uri)
        self.close(uri)
        return diagnostics

    def open(self, path: Path, text: str) -> str:
        uri = path.as_uri()
        self._diagnostics.pop(uri, None)
        # The server keeps the document of a version, even that of a closed one.
        self._version += 1
        document = {"uri": uri, "languageId": "yaml", "version": self._version, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        return uri

    def close(self, uri: str) -> None:
        self._diagnostics.pop(uri, None)
        self._tell("textDocument/didClose", {"textDocument": {"uri": uri}})
        # It takes all diagnostics back then; they must not be taken for those of the next text.
        self.diagnostics(uri)

    def diagnostics(self, uri: str) -> list[Json]:
        self._until(lambda: uri in self._diagnostics, f"diagnostics of {uri}")
        return self._diagnostics[uri]

    def complete(self, uri: str, line: int, column: int) -> list[Json]:
        """What is proposed at a place; 0-based, as in the protocol."""
        answer = self.ask("textDocument/completion", _place(uri, line, column))
        items: list[Json] = answer["items"] if isinstance(answer, dict) else answer
        return items

    def hover(self, uri: str, line: int, column: int) -> str:
        answer = self.ask("textDocument/hover", _place(uri, line, column))
        return str(answer["contents"]["value"]) if answer else ""

    # -- the protocol

    def ask(self, method: str, params: object) -> Any:
        self._number += 1
        number = self._number
        self._send({"id": number, "method": method, "params": params})
        self._until(lambda: number in self._answers, method)
        answer = self._answers.pop(number)
        assert "error" not in answer, answer
        return answer.get("result")

    def _tell(self, method: str, params: object) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: Json) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._in.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._in.flush()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            try:
                said = self._said.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"the language server is silent: {what}") from None
            assert said is not None, f"the language server is gone: {what}"
            if "method" in said:
                self._take(said)
            else:
                self._answers[said["id"]] = said

    def _take(self, said: Json) -> None:
        method, params = said["method"], said.get("params", {})
        if method == "textDocument/publishDiagnostics":
            self._diagnostics[params["uri"]] = params["diagnostics"]
        elif method == "workspace/configuration":
            asked = [self._section(item.get("section", "")) for item in params["items"]]
            self._send({"id": said["id"], "result": asked})
        elif "id" in said:
            self._send({"id": said["id"], "result": None})

    def _section(self, section: str) -> Json:
        """``yaml`` of ``{"yaml.schemas": …, "yaml.schemaStore.enable": …}``, nested as VS Code."""
        found: Json = {}
        for key, value in self._settings.items():
            if key.startswith(section + "."):
                *outer, last = key.removeprefix(section + ".").split(".")
                inner = found
                for name in outer:
                    inner = inner.setdefault(name, {})
                inner[last] = value
        return found

    def _read(self, stream: IO[bytes]) -> None:
        while True:
            length = 0
            while line := stream.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if not length:
                self._said.put(None)
                return
            self._said.put(json.loads(stream.read(length)))


def _place(uri: str, line: int, column: int) -> Json:
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
