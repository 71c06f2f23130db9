"""Where a loop's names are looked up: the one thing that ever blocks beside it."""

from concurrent.futures import ThreadPoolExecutor


class Lookups(ThreadPoolExecutor):
    """Who ends does not wait for it.

    Where no name server answers, one look-up takes half a minute, and nobody can end it.
    """

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:  # noqa: ARG002 (as it is there)
        super().shutdown(wait=False, cancel_futures=cancel_futures)
