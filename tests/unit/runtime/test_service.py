import copy
import os
import signal
import threading
import time
from collections import Counter

import pytest

from naiad.batching import Budget
from naiad.cost import Cost
from naiad.errors import InvalidInput, PipelineError, Unavailable
from naiad.pipeline import load_pipeline
from naiad.runtime.executor import WorkerLost
from naiad.runtime.runner import Report
from naiad.runtime.service import Service, make_executors
from naiad.runtime.spec import Spec
from naiad.runtime.ticket import Ticket


class Tally:
    """Counts what the service tells."""

    def __init__(self):
        self.batches = []
        self.stages = Counter()
        self.replies = Counter()
        self.restarts = Counter()

    def batch(self, sizes):
        self.batches.append(dict(sizes))

    def stage(self, name, seconds):
        self.stages[name] += seconds

    def reply(self, error):
        self.replies[type(error).__name__] += 1

    def restart(self, reason):
        self.restarts[reason] += 1


class Answers:
    """Collects replies; each must come exactly once."""

    def __init__(self, count):
        self.got = {}
        self._left = count
        self._done = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, number):
        def reply(outcome):
            with self._lock:
                assert number not in self.got
                # Outputs are views of shared memory that the next batch overwrites.
                self.got[number] = copy.deepcopy(outcome)
                if len(self.got) == self._left:
                    self._done.set()

        return reply

    def wait(self, timeout=60):
        assert self._done.wait(timeout), f"only {len(self.got)} of {self._left} answered"
        return [self.got[n] for n in range(self._left)]


@pytest.fixture
def serve(pipelines):
    services = []

    def start(name, kind, instances=2):
        spec = f"{pipelines}:{name}"
        tally = Tally()
        executors = make_executors(Spec(spec), instances=instances, kind=kind)
        services.append(Service(executors, tally))
        return services[-1], tally

    yield start
    for service in services:
        service.close()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_everyone_gets_an_answer_of_their_own(serve, make_request, kind):
    service, tally = serve("Trouble", kind)
    answers = Answers(60)
    requests = [make_request(3, 100 + number, seed=number) for number in range(60)]
    for number, request in enumerate(requests):  # faster than they can be answered one by one
        service.submit(Ticket(request, answers(number)))
    totals = [outcome["total"][0] for outcome in answers.wait()]
    assert totals == [100 + number for number in range(60)]
    service.close()
    assert sum(batch["requests"] for batch in tally.batches) == 60
    assert len(tally.batches) < 60
    assert tally.replies == {"NoneType": 60}
    assert set(tally.stages) == {"queue", "prepare", "collate", "forward", "split", "finish"}


def test_a_request_that_kills_its_worker_is_the_only_one_to_fail(serve, make_request):
    service, _ = serve("Trouble", "process", instances=1)
    answers = Answers(6)
    for number in range(6):
        code = 3 if number == 2 else 100 + number
        service.submit(Ticket(make_request(3, code, seed=number), answers(number)))
    outcomes = answers.wait()
    assert isinstance(outcomes[2], Unavailable)
    assert "ended by signal 9, and did so with this request alone" in str(outcomes[2])
    assert [o["total"][0] for n, o in enumerate(outcomes) if n != 2] == [100, 101, 103, 104, 105]


def test_a_request_over_the_limit_is_refused_at_once(serve, make_request):
    service, tally = serve("Degree", "thread")
    answers = Answers(1)
    service.submit(Ticket(make_request(1001), answers(0)))
    (outcome,) = answers.wait()
    assert isinstance(outcome, InvalidInput)
    assert "1,001 nodes; this model takes at most 1,000" in str(outcome)
    assert tally.batches == []


def first_batch_of_ten(pipelines, make_request, **options):
    """How many of ten requests that come together go into their first batch."""
    executors = make_executors(Spec(f"{pipelines}:Metered"), instances=1, kind="thread")
    service = Service(executors, tally := Tally(), **options)
    for number in range(3 if "cost" not in options else 0):
        ask(service, make_request(3, seed=number))
    tally.batches.clear()
    answers = Answers(10)
    with service._batcher._changed:  # so that none is taken before the last has come
        for number in range(10):
            service.submit(Ticket(make_request(3, seed=number), answers(number)))
    answers.wait()
    service.close()
    return tally.batches[0]["requests"]


def test_a_latency_target_keeps_batches_as_small_as_what_ran_before_tells(pipelines, make_request):
    assert 3 <= first_batch_of_ten(pipelines, make_request, latency_target=0.1) <= 4
    assert first_batch_of_ten(pipelines, make_request) == 10


def test_a_latency_target_begins_with_the_cost_that_is_believed(pipelines, make_request):
    cost = Cost(per={"requests": 0.03})
    assert first_batch_of_ten(pipelines, make_request, latency_target=0.1, cost=cost) == 3
    none = Cost()
    assert first_batch_of_ten(pipelines, make_request, latency_target=0.1, cost=none) == 10


def test_a_worker_may_wait_for_company(pipelines, make_request):
    executors = make_executors(Spec(f"{pipelines}:Degree"), instances=1, kind="thread")
    service = Service(executors, tally := Tally(), max_queue_delay=0.5)
    answers = Answers(3)
    for number in range(3):
        service.submit(Ticket(make_request(3, seed=number), answers(number)))
        time.sleep(0.05)
    answers.wait()
    service.close()
    assert [batch["requests"] for batch in tally.batches] == [3]


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_budget_in_place_of_the_pipelines_holds_in_the_queue_and_in_the_worker(
    pipelines, make_request, kind
):
    (executor,) = make_executors(
        Spec(f"{pipelines}:Degree", budget={"nodes": 7}), instances=1, kind=kind
    )
    service = Service([executor], Tally())
    assert service.contract.budget == Budget(nodes=7)
    assert service.contract.limit == Budget(nodes=1000)
    requests = [make_request(3, seed=number) for number in range(5)]
    report = executor.run(requests)
    assert [batch["nodes"] for batch in report.batches] == [6, 6, 3]
    service.close()


def test_a_request_that_was_cancelled_while_it_waited_is_not_run(serve, make_request):
    service, tally = serve("Degree", "thread")
    answers = Answers(1)
    before = time.perf_counter() - 1
    service.submit(Ticket(make_request(), answers(0), cancelled=lambda: True, arrived=before))
    assert isinstance(answers.wait()[0], Unavailable)
    assert tally.batches == []


def test_a_request_that_has_hardly_waited_is_not_asked_whether_it_is_cancelled(make_request):
    def ask() -> bool:
        raise AssertionError

    assert Ticket(make_request(), print, cancelled=ask).unwanted() is None


def test_requests_are_answered_also_while_the_model_is_unloaded(serve, make_request):
    service, _ = serve("Degree", "thread", instances=1)
    answers = Answers(31)
    for number in range(30):
        service.submit(Ticket(make_request(3, seed=number), answers(number)))
    service.close()
    service.submit(Ticket(make_request(), answers(30)))
    *served, late = answers.wait()
    assert all(not isinstance(outcome, Exception) for outcome in served)
    assert isinstance(late, Unavailable)


def test_a_fault_inside_naiad_still_answers(make_request, pipelines):
    class Faulty:
        def start(self):
            return load_pipeline(f"{pipelines}:Degree").contract()

        def run(self, requests) -> Report:
            raise AssertionError("a bug")

        def lost(self):
            return None

        def close(self): ...

    service = Service([Faulty()], Tally())
    answers = Answers(1)
    service.submit(Ticket(make_request(), answers(0)))
    (outcome,) = answers.wait()
    service.close()
    assert isinstance(outcome, PipelineError)
    assert "a bug" in str(outcome)


def ask(service, request, **options):
    answers = Answers(1)
    service.submit(Ticket(request, answers(0), **options))
    return answers.wait()[0]


def wait_until(condition, timeout=30.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_request_whose_timeout_has_passed_is_not_run(serve, make_request):
    service, tally = serve("Degree", "thread")
    ticket_age = time.perf_counter() - 2
    outcome = ask(service, make_request(), timeout=1.5, arrived=ticket_age)
    assert isinstance(outcome, Unavailable)
    assert "was not begun within its timeout of 1.5 s" in str(outcome)
    assert tally.batches == []
    assert ask(service, make_request(3, 9), timeout=60)["total"] == [9]


def test_a_worker_that_dies_idle_is_replaced_before_anybody_asks(serve, make_request):
    service, tally = serve("Degree", "process", instances=1)
    (executor,) = [lane._executor for lane in service._lanes]
    pid = executor.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: executor.pid not in (None, pid))
    assert tally.restarts == {"died": 1}
    assert ask(service, make_request(3, 9))["total"] == [9]
    assert tally.restarts == {"died": 1}


def test_a_full_queue_refuses_and_forgets_nobody(pipelines, make_request):
    executors = make_executors(Spec(f"{pipelines}:Slow"), instances=1, kind="thread")
    service = Service(executors, Tally(), queue_capacity=2)
    answers = Answers(12)
    for number in range(12):
        service.submit(Ticket(make_request(3, 0.3, seed=number), answers(number)))
    outcomes = answers.wait()
    service.close()
    refused = [o for o in outcomes if isinstance(o, Unavailable)]
    assert refused
    assert all("the queue is full (2 requests wait)" in str(o) for o in refused)
    assert len(refused) <= 10


class Mortal:
    """An executor that dies when told, and may refuse to start."""

    def __init__(self, contract):
        self.contract = contract
        self.startable = True
        self.deadly = True
        self.running = False
        self.lists = []

    def start(self):
        if not self.startable:
            raise PipelineError("no weights today")
        self.running = True
        return self.contract

    def run(self, requests):
        self.lists.append(len(requests))
        if self.deadly:
            self.running = False
            raise WorkerLost("it died")
        return Report([{} for _ in requests])

    def lost(self):
        return None if self.running else WorkerLost("it died")

    def close(self):
        self.running = False


@pytest.fixture
def mortal(pipelines):
    """A service whose only worker dies of every request, and that worker."""
    contract = load_pipeline(f"{pipelines}:Degree").contract()
    executors = [Mortal(contract)]
    service = Service(executors, Tally())
    yield service, executors[0]
    service.close()


def test_a_crash_loop_opens_the_circuit_and_a_trial_closes_it(mortal, make_request):
    service, executor = mortal
    assert "with this request alone" in str(ask(service, make_request()))
    assert "failed 3 times in a row (it died)" in str(ask(service, make_request()))
    ran = len(executor.lists)
    while isinstance(outcome := ask(service, make_request()), Unavailable):
        if "try again in about" not in str(outcome):
            break  # the rest was over: a trial, which failed
        assert len(executor.lists) == ran, "nothing is run while the circuit is open"
        time.sleep(0.02)
    executor.deadly = False
    wait_until(lambda: not isinstance(ask(service, make_request()), Unavailable))
    assert not service._lanes[0].circuit.on_trial


def test_a_trial_is_one_request(mortal, make_request):
    service, executor = mortal
    ask(service, make_request())
    ask(service, make_request())
    executor.deadly = False
    wait_until(lambda: service._lanes[0].circuit.rest == 0)
    executor.lists.clear()
    answers = Answers(20)
    for number in range(20):
        service.submit(Ticket(make_request(), answers(number)))
    answers.wait()
    assert executor.lists[0] == 1


def test_a_worker_that_cannot_be_loaded_again_is_reported_with_the_reason(mortal, make_request):
    service, executor = mortal
    executor.startable = False
    outcome = ask(service, make_request())
    assert isinstance(outcome, Unavailable)
    assert "a worker could not be started: no weights today" in str(outcome)
    assert service._meter.restarts["not_loaded"] == 2
    executor.startable = True
    executor.deadly = False
    wait_until(lambda: not isinstance(ask(service, make_request()), Unavailable))


def test_other_lanes_go_on_while_one_rests(pipelines, make_request):
    contract = load_pipeline(f"{pipelines}:Degree").contract()
    bad, good = Mortal(contract), Mortal(contract)
    good.deadly = False
    service = Service([bad, good], Tally())
    bad.startable = False
    bad.running = False
    wait_until(lambda: service._lanes[0].circuit.rest > 0)
    assert [ask(service, make_request()) for _ in range(20)] == [{}] * 20
    assert bad.lists == []
    service.close()


def test_unloading_does_not_wait_for_a_rest(mortal, make_request):
    service, _ = mortal
    ask(service, make_request())
    ask(service, make_request())
    service._lanes[0].circuit._until += 1000
    began = time.monotonic()
    service.close()
    assert time.monotonic() - began < 10
    assert "being unloaded" in str(ask(service, make_request()))


def test_a_model_that_does_not_load_starts_no_service(pipelines):
    spec = f"{pipelines}:Broken"
    with pytest.raises(PipelineError, match="no weights today"):
        Service(make_executors(Spec(spec), instances=2, kind="process"), Tally())
