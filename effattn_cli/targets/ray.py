"""Nodes of a Ray cluster that runs: `ray`, or `ray:ADDRESS`.

A task for each shard, which takes all processors and GPUs of its node. effattn has to be installed
on each node.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from effattn_cli.errors import UsageError
from effattn_cli.remote import streams
from effattn_cli.remote.agent import carry_out
from effattn_cli.remote.errands import Errand, Event, Lost, Run
from effattn_cli.targets import needs, shard_names

SECONDS = 10.0  # within which a cluster has to answer


def target(rest: str, folder: Path, shards: int | None) -> "Ray":
    del folder
    try:
        import ray  # noqa: PLC0415
    except ImportError as error:
        raise needs("ray", "ray") from error
    if not ray.is_initialized():
        try:
            _reach(rest)
            ray.init(address=rest or "auto", log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError) as error:
            why = f"--on ray: no cluster at {rest or 'auto'}: {str(error).splitlines()[0]}"
            raise UsageError(why, "ray start --head  starts one here") from error
    return Ray(ray, shards)


def _reach(address: str) -> None:
    """Ray would try for minutes.

    Raises:
        OSError: nothing listens there.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()


class Ray:
    whole = False

    def __init__(self, ray: Any, shards: int | None) -> None:
        self._ray = ray
        self.names = shard_names(shards or len(self._nodes()))

    def _nodes(self) -> list[dict[str, Any]]:
        """Those that are alive and have processors.

        Raises:
            Lost: there is none.
        """
        alive = [
            node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")
        ]
        if not alive:
            raise Lost("--on ray: no node of the cluster is alive")
        return sorted(alive, key=lambda node: str(node["NodeID"]))

    def places(self) -> Mapping[str, str]:
        nodes = self._nodes()
        words = [f"{n['NodeManagerHostname']} ({n['NodeManagerAddress']})" for n in nodes]
        return {name: f"node {words[index % len(nodes)]}" for index, name in enumerate(self.names)}

    def start(self, errands: Mapping[str, Errand]) -> Mapping[str, Run]:
        nodes = self._nodes()
        return {
            name: _Task(self._ray, nodes[self.names.index(name) % len(nodes)], errand)
            for name, errand in errands.items()
        }


class _Waiting:
    """An actor: whether somebody still waits. It dies with whoever made it."""

    def __init__(self) -> None:
        self._there = True

    def end(self) -> None:
        self._there = False

    def there(self) -> bool:
        return self._there


def _carried_out(errand: bytes, waiting: Any) -> Iterator[bytes]:
    """What a node runs."""
    import ray  # noqa: PLC0415

    def there() -> bool:
        with suppress(ray.exceptions.RayError):
            return bool(ray.get(waiting.there.remote()))
        return False

    os.environ.pop("OMP_NUM_THREADS", None)  # Ray's own; the sweep says how many threads it has
    with closing(carry_out(streams.errand(errand), there)) as events:
        for event in events:
            yield streams.line(event)


class _Task:
    def __init__(self, ray: Any, node: Mapping[str, Any], errand: Errand) -> None:
        from ray.util.scheduling_strategies import (  # noqa: PLC0415
            NodeAffinitySchedulingStrategy,
        )

        self._ray = ray
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        waiting = ray.remote(num_cpus=0, scheduling_strategy=here)(_Waiting)
        self._waiting = waiting.remote()
        resources = node["Resources"]
        task = ray.remote(
            num_cpus=resources["CPU"], num_gpus=resources.get("GPU", 0), max_retries=0,
            num_returns="streaming", scheduling_strategy=there,
        )(_carried_out)  # fmt: skip
        self._answers = task.remote(streams.line(errand), self._waiting)

    def events(self) -> Iterator[Event]:
        try:
            for answer in self._answers:
                event = streams.event(self._ray.get(answer))
                if event is not None:
                    yield event
        except self._ray.exceptions.RayError as error:
            last = str(error).strip().rpartition("\n")[2].partition(". ")[0]
            raise Lost(last or type(error).__name__) from error
        finally:
            self._ray.kill(self._waiting)

    def stop(self) -> None:
        self._waiting.end.remote()

    def abandon(self) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._ray.cancel(self._answers, force=True)
