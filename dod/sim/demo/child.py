"""The unchanged ``dod run`` as a child process: its log, its restarts, its end."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping

_LINE = 1 << 22  # bytes; a longer log line would end the reading

# Becomes the program in its arguments, which then ends (SIGTERM) when the demo is gone, `kill -9`
# included: PR_SET_PDEATHSIG is 1, and survives the exec. Between fork and exec in this process no
# Python may run, because it has threads.
_LEASH = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGTERM)\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


class Child:
    """Lifecycle: ``run`` (a task) → ``stop`` → it returns. ``hurry`` makes the end sudden.

    Thread: the demo's loop.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        say: Callable[[str], None],
        log: Callable[[str], None],
        *,
        pause: float = 1.0,
    ) -> None:
        """``say`` is for the demo's own words, ``log`` for the child's lines."""
        self._environ = dict(environ)
        self._say = say
        self._log = log
        self._pause = pause
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keep one child running until ``stop``; return when it has ended."""
        while not self._stopping.is_set():
            # A session of its own: the terminal's Ctrl+C reaches the demo only, which tells it.
            self._process = await asyncio.create_subprocess_exec(
                *_command(),
                env=self._environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                limit=_LINE,
            )
            if self._stopping.is_set():
                self._signal()
            try:
                status = await self._follow(self._process)
            finally:  # the demo itself is failing: leave no orphan behind
                if self._process.returncode is None:
                    self._process.kill()
            if self._stopping.is_set():
                return
            self._say(
                f"dod run 意外结束（{status}），{self._pause:g} 秒后重新启动。\n"
                f"dod run has ended unexpectedly ({status}); it starts again in {self._pause:g} s."
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._pause)

    def stop(self) -> None:
        """Tell the child to drain. A second call tells it again: at once."""
        self._stopping.set()
        self._signal()

    def kill(self) -> None:
        """End it now, whatever it does."""
        self._stopping.set()
        self.crash()

    def crash(self) -> None:
        """End it as a power cut would: unless it is to stop, it is started again."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _signal(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    async def _follow(self, process: asyncio.subprocess.Process) -> int:
        if process.stdout is not None:
            async for line in process.stdout:
                self._log(line.decode("utf-8", "replace").rstrip("\r\n"))
        return await process.wait()


def _command() -> list[str]:
    run = [sys.executable, "-m", "dod", "run"]
    if sys.platform != "linux":
        return run
    return [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *run]
