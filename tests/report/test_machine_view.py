"""What `effattn devices` says of a machine."""

from inline_snapshot import snapshot

from effattn_cli.machine import Machine
from effattn_cli.report.catalog.machine_view import shown
from tests.builders import a_machine
from tests.report.screen import screen


def facts(machine: Machine) -> str:
    text = screen(shown(machine, []), 90)
    return "\n".join(line.rstrip() for line in text.split("\n\n")[0].splitlines())


def test_all_that_a_machine_may_tell() -> None:
    machine = a_machine(
        cores=6, physical_cores=32, logical_cores=64, cpu_mhz=2450, governor="performance",
        allowed_cores=6.5, allowed_bytes=8 * 2**30, blas="mkl", accelerator="A GPU",
        accelerator_memory_bytes=80 * 2**30, accelerator_free_bytes=60 * 2**30,
        accelerator_sm_mhz=1980, accelerator_memory_mhz=2619, accelerator_watts=700.0,
        driver="570.1", environment={"OMP_NUM_THREADS": "6"},
    )  # fmt: skip
    assert facts(machine) == snapshot("""\
cpu          a CPU, 6 cores, 16.0 GiB
cores        32 physical cores, 64 threads, 2450 MHz at the start
allowed      6.5 cores, 8.0 GiB
accelerator  A GPU, 80.0 GiB (60.0 GiB free at the start), up to 1980 MHz, memory 2619
             MHz, 700 W
driver       570.1
torch        2.13.0, Python 3.11.9, Linux 6.8
build        cpu
blas         mkl
governor     performance
load         0.10 per core at the start
settings     OMP_NUM_THREADS=6\
""")


def test_what_is_not_known_has_no_line() -> None:
    assert facts(a_machine(allowed_cores=2.0, logical_cores=2)) == snapshot("""\
cpu    a CPU, 2 cores, 16.0 GiB
torch  2.13.0, Python 3.11.9, Linux 6.8
build  cpu
load   0.10 per core at the start\
""")
