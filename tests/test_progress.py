import operator

from mtl.progress import report_progress
from mtl.workers import in_parallel


def test_progress_passes_everything_through():
    assert list(report_progress(iter('abc'), 3, 'Spelling')) == ['a', 'b', 'c']


def test_results_come_in_order_from_any_number_of_processes():
    for jobs in (1, 2):
        assert list(in_parallel(operator.neg, list(range(20)), jobs)) == [-i for i in range(20)]
