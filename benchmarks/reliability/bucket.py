"""A record of 10 GB written to a bucket and trained from there, by processes of at most 2 GB.

    python benchmarks/reliability/bucket.py                  # 11.5 GB in /tmp; writes bucket.json
    python benchmarks/reliability/bucket.py --examples 440 --cache   # 100 MB; prints only

The teacher is the ResNet-20 of CIFAR-10 in `MENTEE_MODELS`; method `vid` reads the maps of its
three stages, 115 kB in float32 for each example and view. The bucket is moto's server, a process
of its own that keeps objects on disk. It reads a whole object for each range, so shards have 8 MB.
A step is compared with that from a folder (5,000 examples), and with --cache from fsspec's local
cache of whole shards, by CPU seconds of the process that trains: the server shares its machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_suffix(".json")
BATCH, SHARD_BYTES, COMPARED = 64, 8 << 20, 5_000
WARM_UP = 5
"""Steps that are not counted."""


def recipe(examples: int, teacher: dict[str, Any], **data: Any) -> dict[str, Any]:
    """A tiny student of CIFAR-10."""
    source = {"source": "cifar10", "views": "crop", "limit": examples, "test": None}
    return {
        "data": {**source, "validation": None, **data},
        "student": {"network": "resnet8-cifar", "options": {"widths": [4, 4, 4]}},
        "teacher": teacher,
        "method": "vid",
        "train": {"epochs": 100, "batch": BATCH},
        "save": {"steps": 50, "minutes": None},
    }


def peak() -> int:
    """Of this process, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1000


def cpu() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def record(out: str, examples: int) -> dict[str, Any]:
    """Record the teacher's maps, clean and in one view."""
    from mentee import record_network
    from mentee.records import shards

    shards.SHARD_BYTES = SHARD_BYTES
    weights = str(Path(os.environ["MENTEE_MODELS"]) / "resnet20-cifar10.safetensors")
    teacher = {"network": "resnet20-cifar", "weights": weights}
    began = time.monotonic()
    made = record_network(recipe(examples, teacher), out, views=1, dtype="float32", say=print)
    parts = made.manifest.parts
    return {
        "bytes": sum(each.bytes for each in parts),
        "objects": sum(len(each.shards) for each in parts),
        "seconds": round(time.monotonic() - began),
        "CPU seconds": round(cpu()),
        "peak MB": peak(),
    }


class Enough(Exception):  # noqa: N818 - it is no error
    """So many steps have been done."""


def train(source: str, examples: int, steps: int, out: str) -> dict[str, Any]:
    """Train the student for so many steps, shuffled over the whole record."""
    from mentee import train as train_student

    at: list[tuple[float, float]] = []
    losses = list[float]()

    def on_step(step: Any) -> None:
        at.append((time.monotonic(), cpu()))
        losses.append(step.loss)
        if step.number == steps:
            raise Enough

    try:
        content = recipe(examples, {"record": source})
        train_student(content, out=Path(out), quiet=True, on_step=on_step)
    except Enough:
        pass
    (wall, own), (end, last) = at[WARM_UP - 1], at[-1]
    counted = len(at) - WARM_UP
    return {
        "steps": len(at),
        "CPU milliseconds of a step": round((last - own) / counted * 1e3, 1),
        "milliseconds of a step": round((end - wall) / counted * 1e3, 1),
        "peak MB": peak(),
        "last loss": losses[-1],
    }


def run(call: str) -> dict[str, Any]:
    """The result of a call in a process of its own, one thread."""
    folder = str(Path(__file__).parent)
    code = f"import json, sys; sys.path.insert(0, {folder!r}); import bucket; "
    code += f"print(json.dumps(bucket.{call}))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{call} failed:\n{done.stdout[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(call, json.dumps(result, indent=2), flush=True)
    return result


def serve(place: Path) -> subprocess.Popen[bytes]:
    """Start a bucket on this machine, and tell this process and those that it starts of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    on_disk = {"TMPDIR": str(place), "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": "65536"}
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, **on_disk},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "OMP_NUM_THREADS": "1"}
    import fsspec

    while server.poll() is None:
        with contextlib.suppress(Exception):  # it has not begun
            fsspec.filesystem("s3", skip_instance_cache=True).mkdir("bucket")
            return server
        time.sleep(0.2)
    raise SystemExit("moto's server does not start: pip install 'mentee[dev]'")


def resident(pid: int) -> int:
    """The peak of another process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1000


def main() -> None:
    """Record, then train from the bucket, from a folder, and if asked through fsspec's cache."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--cache", action="store_true")
    options = parser.parse_args()
    examples, few, steps = options.examples, min(options.examples, COMPARED), options.steps
    place = Path(tempfile.mkdtemp(prefix="bucket-"))
    (place / "server").mkdir()
    server = serve(place / "server")
    try:
        url, folder = "s3://bucket/records/maps", str(place / "folder")
        results: dict[str, Any] = {"examples": examples}
        results["recording"] = run(f"record({url!r}, {examples})")
        names = {"bucket": (url, examples), "folder": (folder, few)}
        run(f"record({folder!r}, {few})")
        if options.cache:
            run(f"record({url + '-few'!r}, {few})")
            names["fsspec's cache of the bucket"] = (f"simplecache::{url}-few", few)
        for name, (source, count) in names.items():
            out = str(place / "run")
            results[name] = run(f"train({source!r}, {count}, {steps}, {out!r})")
            shutil.rmtree(out)
        step = {name: results[name]["CPU milliseconds of a step"] for name in names}
        results["step of the bucket : of the folder"] = round(step["bucket"] / step["folder"], 2)
        results["peak MB of the server"] = resident(server.pid)
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(place)
    from load import machine

    results["environment"] = machine()
    print(json.dumps(results, indent=2))
    if examples == parser.get_default("examples"):
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
