import os

from naiad.runtime.spec import default_instances


def test_there_is_one_worker_per_core_and_one_on_a_gpu_by_default():
    assert default_instances("cuda:0") == 1
    assert default_instances("cpu") == len(os.sched_getaffinity(0))
