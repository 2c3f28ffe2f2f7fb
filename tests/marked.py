"""Processes that are known by a variable of their environment, which their children inherit."""

import os

import psutil

MARK = "EFFATTN_MARK"


def marking(mark: str) -> dict[str, str]:
    """The environment of a process to be found again."""
    return os.environ | {MARK: mark}


def running(mark: str) -> list[psutil.Process]:
    """Those that bear the mark and still run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
