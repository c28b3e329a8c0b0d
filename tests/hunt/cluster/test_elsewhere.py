"""What a halted worker has not begun goes to others."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hunt.cluster import elsewhere


class Client:
    def __init__(self, name: str) -> None:
        self.client_key = name


OURS, THEIRS = Client("ours"), Client("theirs")


class Worker:
    def __init__(self, *tasks: Any, nthreads: int = 1, nbytes: int = 0) -> None:
        self.processing = dict.fromkeys(tasks)
        self.nthreads, self.nbytes = nthreads, nbytes


class Task:
    def __init__(self, *who_wants: Client, made: tuple[Task, ...] = (), able: set[Worker] | None = None) -> None:
        self.who_wants = set(who_wants) or None  # as Dask has it
        self.dependents, self.able = set(made), able


class Scheduler:
    """Of these workers; the halted are not among the running. What is asked of it, it does."""

    def __init__(self, running: str, **workers: Worker) -> None:
        self.workers = workers
        self.running = {workers[name] for name in running}
        self.in_flight_tasks: Counter[Worker] = Counter()
        self.extensions = {"stealing": self}

    def valid_workers(self, task: Task) -> set[Worker] | None:
        return None if task.able is None else task.able & self.running

    def move_task_request(self, task: Task, victim: Worker, thief: Worker) -> None:
        assert task in victim.processing
        self.in_flight_tasks[victim] -= 1
        self.in_flight_tasks[thief] += 1

    def asked(self) -> dict[str, int]:
        """Tasks that each worker gets, or loses."""
        return {name: self.in_flight_tasks[worker] for name, worker in self.workers.items()}


def move(scheduler: Scheduler, *names: str) -> dict[str, int]:
    elsewhere.move(names, "ours", dask_scheduler=scheduler)
    return scheduler.asked()


def test_tasks_go_to_those_with_the_least_to_do_for_each_thread() -> None:
    halted = Worker(*(Task(OURS) for _ in range(5)))
    scheduler = Scheduler("bc", a=halted, b=Worker(Task(THEIRS)), c=Worker(nthreads=2))
    assert move(scheduler, "a") == {"a": -5, "b": 1, "c": 4}


def test_of_two_with_as_much_to_do_the_one_that_keeps_less_gets_it() -> None:
    scheduler = Scheduler("bc", a=Worker(Task(OURS)), b=Worker(nbytes=2), c=Worker(nbytes=1))
    assert move(scheduler, "a") == {"a": -1, "b": 0, "c": 1}


def test_what_others_wait_for_stays() -> None:
    picked = Task(made=(Task(OURS),))  # for work of ours
    scheduler = Scheduler("b", a=Worker(Task(THEIRS), Task(made=(Task(THEIRS),)), picked), b=Worker())
    assert move(scheduler, "a") == {"a": -1, "b": 1}


def test_graphs_of_others_however_deep_and_wide_cost_no_more_than_their_tasks() -> None:
    layer = (Task(THEIRS), Task())
    for _ in range(5000):
        layer = (Task(made=layer), Task(made=layer))
    scheduler = Scheduler("b", a=Worker(*layer, Task(OURS)), b=Worker())
    assert move(scheduler, "a") == {"a": -1, "b": 1}


def test_of_very_many_tasks_some_are_moved_at_a_time() -> None:
    scheduler = Scheduler("b", a=Worker(*(Task(OURS) for _ in range(2000))), b=Worker())
    assert 0 < move(scheduler, "a")["b"] < 1000


def test_what_only_some_can_do_goes_to_one_of_them_or_stays() -> None:
    one, other = Worker(), Worker()
    halted = Worker(Task(OURS, able={other}), Task(OURS, able=set()))
    assert move(Scheduler("bc", a=halted, b=one, c=other), "a") == {"a": -1, "b": 0, "c": 1}
    alone = Worker(Task(OURS))
    assert move(Scheduler("", a=alone), "a") == {"a": 0}


def test_who_works_again_or_is_gone_keeps_what_it_has() -> None:
    assert move(Scheduler("ab", a=Worker(Task(OURS)), b=Worker()), "a", "gone") == {"a": 0, "b": 0}
