"""A bucket over HTTP: recorded to, killed, resumed, verified, trained from as from a folder."""

import json
import warnings

import fsspec
import pytest

from mentee import record_network, resume, train
from mentee.errors import RunError
from tests.conftest import taught_by
from tests.records.jobs import content

SETTINGS = {"config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 2}}
URL = "s3://bucket/records/own"

KILLED = """
import os, signal
from mentee.urls import Url
upload, count = Url.upload, 0

def counted(self, file):
    global count
    count += self.name.startswith("shard-")
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    upload(self, file)

Url.upload = counted
from mentee.cli import main
main()
"""


class Storage:
    """moto's server in a thread, which may be away for a while with all that it has."""

    def __init__(self):
        self.port = 0
        self.start()

    def start(self):
        from moto.server import ThreadedMotoServer

        self.server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self.server.start()
        self.port = self.server.get_host_and_port()[1]

    def stop(self):
        self.server.stop()
        self.server._server.server_close()

    def objects(self, prefix):
        system = fsspec.filesystem("s3")
        system.invalidate_cache()
        names = system.find(prefix)
        return {name.removeprefix(prefix): system.cat_file(name) for name in sorted(names)}


@pytest.fixture
def storage(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = Storage()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("FSSPEC_S3", json.dumps(SETTINGS))
    monkeypatch.setitem(fsspec.config.conf, "s3", SETTINGS)
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    type(system).clear_instance_cache()
    system.mkdir("bucket")
    yield server
    type(system).clear_instance_cache()
    server.stop()


def test_recorded_killed_resumed_and_trained_from_as_from_a_folder(
    storage, teacher, file, begin, mentee, tmp_path
):
    recipe = taught_by(teacher, save={"steps": 3, "minutes": None})
    source = file(recipe)
    record_network(source, tmp_path / "own", views=2, say=lambda line: None)

    command = ("record", source, "--views", "2", "--out")
    killed = begin("-c", KILLED, *command, URL)
    killed.communicate()
    assert killed.returncode == -9
    there = storage.objects("bucket/records/own/")
    assert sum(name.endswith(".npy") for name in there) == 2
    assert "train/manifest.json" not in there
    status, out, err = mentee(*command, URL)
    assert status == 0, out + err
    assert storage.objects("bucket/records/own/") == content(tmp_path / "own")

    status, out, err = mentee("record", "verify", URL, source)
    assert status == 0, out + err
    assert "clean, view 0, view 1" in out
    status, out, err = mentee(*command, "s3://nowhere/own")
    assert status == 2, out + err
    assert "s3://nowhere/own cannot be read: The specified bucket does not exist" in err

    def taught(record):
        return {**recipe, "teacher": {"record": record}}

    train(taught(str(tmp_path / "own")), out=tmp_path / "local", quiet=True)
    train(taught(URL), out=tmp_path / "there", quiet=True)
    weights = (tmp_path / "local" / "student.safetensors").read_bytes()
    assert (tmp_path / "there" / "student.safetensors").read_bytes() == weights

    def drop(step):
        if step.number == 7:
            storage.stop()

    with pytest.raises(RunError, match=r"s3://bucket/\S+ cannot be read: .*it resumes"):
        train(taught(URL), out=tmp_path / "cut", quiet=True, on_step=drop)
    storage.start()
    resume(tmp_path / "cut", quiet=True)
    assert (tmp_path / "cut" / "student.safetensors").read_bytes() == weights
