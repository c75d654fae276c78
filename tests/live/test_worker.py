"""A worker does what it is woken for, in order, and ends when it is told to."""

import threading

from dagster_lake.live.worker import Worker

PATIENCE = 10.0


class Job:
    """Work that tells when it begins, and goes on when it is let."""

    def __init__(self, *failures: Exception | None) -> None:
        self.begun, self.let = threading.Semaphore(0), threading.Semaphore(0)
        self.failures = list(failures)
        self.left = self.done = 0

    def __call__(self) -> bool:
        self.begun.release()
        assert self.let.acquire(timeout=PATIENCE)
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        self.done += 1
        self.left = max(self.left - 1, 0)
        return self.left > 0


def no_failure(error: Exception) -> None:
    raise AssertionError(error)


def test_it_works_once_for_all_that_happened_while_it_worked() -> None:
    job = Job()
    worker = Worker("test", job, 0.0, no_failure)
    worker.wake()
    assert job.begun.acquire(timeout=PATIENCE)
    for _ in range(5):
        worker.wake()
    job.let.release()
    assert job.begun.acquire(timeout=PATIENCE)
    job.let.release()
    worker.end(finish=True)
    assert job.done == 2


def test_ending_with_finish_does_what_it_was_woken_for_without_waiting_for_the_pause() -> None:
    job = Job()
    worker = Worker("test", job, 3600.0, no_failure)
    for _ in range(2):
        worker.wake()
        job.let.release()
        if not job.done:
            assert job.begun.acquire(timeout=PATIENCE)
    worker.end(finish=True)
    assert job.done == 2


def test_ending_without_finish_leaves_what_it_was_woken_for() -> None:
    job = Job()
    worker = Worker("test", job, 3600.0, no_failure)
    worker.wake()
    assert job.begun.acquire(timeout=PATIENCE)
    worker.wake()
    job.let.release()
    worker.end(finish=False)
    assert job.done == 1


def test_what_failed_is_told_and_tried_again() -> None:
    told: list[Exception] = []
    job = Job(ValueError("at first"))
    worker = Worker("test", job, 0.0, told.append)
    worker.wake()
    for _ in range(2):
        job.let.release()
        assert job.begun.acquire(timeout=PATIENCE)
    worker.end(finish=True)
    assert job.done == 1
    assert [str(error) for error in told] == ["at first"]


def test_what_fails_for_ever_does_not_hold_up_the_end() -> None:
    told: list[Exception] = []
    job = Job(*[ValueError("for ever")] * 3)
    worker = Worker("test", job, 3600.0, told.append)
    worker.wake()
    for _ in range(2):
        job.let.release()
    worker.end(finish=True)
    assert job.done == 0
    assert 1 <= len(told) <= 2


def test_what_fails_while_it_is_ended_is_tried_once_more() -> None:
    job = Job(ValueError("at first"))
    told: list[Exception] = []
    worker = Worker("test", job, 3600.0, told.append)
    worker.wake()
    assert job.begun.acquire(timeout=PATIENCE)
    ending = threading.Thread(target=worker.end, kwargs={"finish": True})
    ending.start()
    while not worker._ending:
        pass
    for _ in range(2):
        job.let.release()
    ending.join(PATIENCE)
    assert job.done == 1


def test_it_goes_on_by_itself_while_something_is_left() -> None:
    job = Job()
    job.left = 3
    worker = Worker("test", job, 0.0, no_failure)
    worker.wake()
    for _ in range(3):
        assert job.begun.acquire(timeout=PATIENCE)
        job.let.release()
    worker.end(finish=True)
    assert job.done == 3


def test_what_is_left_at_the_end_is_tried_once_more_and_then_left() -> None:
    job = Job()
    job.left = 1_000
    worker = Worker("test", job, 0.0, no_failure)
    worker.wake()
    job.let.release()
    assert job.begun.acquire(timeout=PATIENCE)
    for _ in range(2):
        job.let.release()
    worker.end(finish=True)
    assert 1 <= job.done <= 3
