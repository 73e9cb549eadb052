"""What every test shares: one thread per process, and how hypothesis draws."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

# Before NumPy or torch is imported: the tests already run in several processes, and small matrices lose time to
# threads that fight over the cores. Child processes inherit it.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# A shell that runs the tests in the background makes them, and all their children, deaf to Ctrl-C: some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402  # plug-ins of it import NumPy

from tests.commands import Command  # noqa: E402

# The same examples every time: fresh ones are `make fuzz`'s task, which keeps what it finds as a file.
settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("tests")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Gives commands as a user does, without a process for each."""
    return Command(capsys)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Whatever the environment says: sums depend on the number of threads."""
    import torch  # here, for most tests do without

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
