"""Independent tasks on a crew of workers: results as they come, and none is lost.

    what goes wrong             what becomes of its task
    its process dies            tried again
    its worker dies             given to another one
    it hangs                    cut off at the deadline, its lab taken down; not tried again
    its worker cannot run labs  given to another one; that worker gets no more

Each is told, and the rest goes on. A task that failed for good is a result too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass

from lab.judge.attend import PATIENCE, Attempt, Task, attend
from lab.judge.crew import Crew

TRIES = 3
LOOK = 1.0  # seconds between looks at who is still there
GRACE = 10.0 + PATIENCE  # seconds over the deadline that a worker has to clear up and answer


@dataclass(frozen=True, slots=True)
class Result:
    task: Task
    attempt: Attempt
    tries: int


@dataclass(slots=True)
class _Try:
    task: Task
    number: int
    failures: int = 0


class Campaign:
    def __init__(self, crew: Crew, deadline: float, tell: Callable[[str], None]) -> None:
        self._crew, self._deadline, self._tell = crew, deadline, tell
        self._under_way: dict[Future[Attempt], _Try] = {}
        self._excused: set[str] = set()
        self._news = time.monotonic()

    def run(self, tasks: Sequence[Task]) -> Generator[Result, None, None]:
        for task in tasks:
            self._submit(_Try(task, 1))
        try:
            while self._under_way:
                yield from self._step()
        finally:
            for future in self._under_way:
                future.cancel()

    def _submit(self, one: _Try) -> None:
        future = self._crew.executor.submit(attend, one.task, self._deadline)
        self._under_way[future] = one

    def _step(self) -> Iterator[Result]:
        done, _ = wait(list(self._under_way), LOOK, FIRST_COMPLETED)
        for future in done:
            self._news = time.monotonic()
            one = self._under_way.pop(future)
            result = self._settle(one, _attempt(future))
            if result is not None:
                yield result
        for worker in self._crew.gone():
            self._tell(f"worker {worker} is gone; what it had is tried elsewhere")
        if self._under_way:
            self._crew.check()
            if time.monotonic() > self._news + self._deadline + GRACE:
                yield from self._give_up()

    def _settle(self, one: _Try, attempt: Attempt) -> Result | None:
        """None: it is tried again."""
        match attempt.outcome:
            case "cannot":
                if attempt.worker not in self._excused:
                    self._excused.add(attempt.worker)
                    self._crew.excuse(attempt.worker, attempt.answer)
                    self._tell(f"worker {attempt.worker} gets no more: {attempt.answer}")
                self._submit(_Try(one.task, one.number + 1, one.failures))
                return None
            case "died" if one.failures + 1 < TRIES:
                self._tell(f"{one.task.name} {attempt.answer}; it is tried again")
                self._submit(_Try(one.task, one.number + 1, one.failures + 1))
                return None
            case "died" | "hung":
                self._tell(f"{one.task.name} {attempt.answer}")
        return Result(one.task, attempt, one.number)

    def _give_up(self) -> Iterator[Result]:
        """On workers that neither answer nor go away."""
        under_way, self._under_way = self._under_way, {}
        why = f"has no answer after {time.monotonic() - self._news:.0f} s: its worker hangs"
        for future, one in under_way.items():
            future.cancel()
            self._tell(f"{one.task.name} {why}")
            yield Result(one.task, Attempt("hung", why, self._deadline, "?"), one.number)


def _attempt(future: Future[Attempt]) -> Attempt:
    """What the executor itself raises is about the worker, not about the task."""
    try:
        return future.result()
    except CancelledError:
        return Attempt("died", "was given up by its scheduler", 0.0, "?")
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        return Attempt("died", f"was lost with its worker ({what})", 0.0, "?")
