"""Work beside the main thread, which meanwhile can be told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """A function in a thread of its own. One that nobody waits for any more holds nothing up.

    The function must not touch the database: connections belong to threads.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._result: T | None = None
        self._error: BaseException | None = None
        self._done = threading.Event()
        threading.Thread(target=self._work, args=(function,), daemon=True).start()

    def wait(self, *, check: Callable[[], None], interval_s: float = 0.1) -> T:
        """The function's result or error; `check` is called meanwhile and may raise."""
        while not self._done.wait(interval_s):
            check()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # set when there is no error

    def _work(self, function: Callable[[], T]) -> None:
        try:
            self._result = function()
        except BaseException as error:  # noqa: BLE001  # raised again in the waiting thread
            self._error = error
        finally:
            self._done.set()
