"""Records made and used by whole runs: several teachers, mixup, learning first, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mentee import Run, models, record, resume, train
from mentee.api import import_vectors, verify
from mentee.data import open_examples
from mentee.errors import DataError, PairError, RecipeError
from mentee.recording.sources import parsed
from mentee.representations import PairInfo, compress
from mentee.teachers.pretrained import embedder
from mentee.training.adapter_pretraining import pretrain
from mentee.types import Statistics
from tests.conftest import cut_off, digits


def halves(images: Any) -> Any:
    """Sums of the rows and of the columns: 16 numbers that know something of a digit."""
    pixels = torch.stack([torch.as_tensor(image).float() for image in images])[..., 0]
    return torch.cat([pixels.mean(1), pixels.mean(2)], 1) / 255


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two records of the digits."""
    out = tmp_path_factory.mktemp("records")
    teacher = embedder(halves, name="halves", kind="image", width=16)
    lines: list[str] = []
    splits = ("train", "test")
    record("embedded:digits", teacher, out / "halves", splits=splits, say=lines.append)
    assert lines[0] == "1,297 / 500 examples (train / test)"
    assert [line.split()[0] for line in lines[1:]] == ["train:", "test:", "recorded"]
    assert "1,297 images → 63 kB" in lines[1]
    ids = open_examples("embedded:digits").ids
    random = np.random.default_rng(0).standard_normal((len(ids), 5)).astype(np.float32)
    order = np.random.default_rng(1).permutation(len(ids))
    np.savez(out / "noise.npz", embedding=random[order], ids=np.array(ids)[order])
    said = import_vectors(out / "noise.npz", "embedded:digits", out / "noise", say=lines.append)
    np.testing.assert_array_equal(said.vectors(range(4)), random[:4])  # the data's own order
    assert lines[-1] == "read embedding of noise.npz"
    return out


def taught(records: Path, *names: str, **parts: Any) -> dict[str, Any]:
    folders = {name: str(records / name) for name in names}
    where = folders if len(names) > 1 else folders[names[0]]
    method = {"name": "ec", "params": {"compress.width": 4}}
    teacher = {"record": where, "clean": True}
    return digits(
        **{"teacher": teacher, "method": method, "train": {"optimizer": "adamw", "lr": 2e-3}}
        | parts
    )


def losses_of(run: Run) -> list[dict[str, float]]:
    """What the metrics say of the losses, line by line."""
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    return [found["losses"] for line in lines if "losses" in (found := json.loads(line))]


def test_an_embedding_teaches_and_the_summary_says_how_alike_they_became(records, tmp_path):
    longer = {"epochs": 8, "optimizer": "adamw", "lr": 5e-3}
    run = train(taught(records, "halves", train=longer), out=tmp_path / "run", quiet=True)
    assert run.summary["test"]["accuracy"] > 0.3
    assert 0 < run.summary["similarity"]["teacher"] < 1
    losses = losses_of(run)
    for name in ("distance_correlation/embedding", "soft_labels/logits~embedding"):
        assert losses[-1][name] < losses[0][name]
    alone = models.build("resnet8-cifar", classes=10, channels=1, widths=(8, 16, 32))
    assert load_file(run.path / "student.safetensors").keys() == alone.state_dict().keys()


def test_several_records_teach_at_once_and_share_the_weight(records, tmp_path):
    run = train(taught(records, "halves", "noise"), out=tmp_path / "run", quiet=True)
    weights = run.summary["weights"]
    for name in ("halves", "noise"):
        assert weights[f"distance_correlation/embedding~embedding.{name}"] == pytest.approx(0.05)
    assert set(run.summary["similarity"]) == {"halves"}, "there is no record of noise's test part"


def test_what_learns_first_is_the_same_all_through_the_run_and_resumes(records, tmp_path):
    numbers = {"compress.width": 4, "compress.learn": "first", "compress.steps": 60}
    recipe = taught(records, "halves", method={"name": "ec", "params": numbers}, save={"steps": 5})
    whole = train(recipe, out=tmp_path / "whole", quiet=True)

    def heads(run: Path, step: int) -> dict[str, torch.Tensor]:
        found = torch.load(run / "checkpoints" / f"step-{step:08d}.pt", weights_only=True)[
            "adapters"
        ]
        return {name: value for name, value in found.items() if "probe" in name or ".h." in name}

    early, late = heads(whole.path, 15), heads(whole.path, 20)
    assert early.keys() == late.keys()
    assert all(torch.equal(early[name], late[name]) for name in early)

    cut_off(recipe, tmp_path / "cut", after=8)
    again = resume(tmp_path / "cut", quiet=True)
    mine, other = (load_file(r.path / "student.safetensors") for r in (whole, again))
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_mixup_mixes_embeddings_too(records, tmp_path):
    parts = {"train": {"mixup": 0.3, "optimizer": "adamw", "lr": 2e-3, "epochs": 1}}
    recipe = taught(records, "halves", **parts)
    plain = train(
        recipe | {"train": recipe["train"] | {"mixup": None}}, out=tmp_path / "a", quiet=True
    )
    mixed = train(recipe, out=tmp_path / "b", quiet=True)
    losses = [losses_of(run)[0] for run in (plain, mixed)]
    assert losses[0].keys() == losses[1].keys()
    assert losses[0]["task"] != losses[1]["task"]


def test_a_memory_of_single_examples_refuses_mixtures(records, tmp_path):
    recipe = taught(records, "halves", method="similarity", train={"mixup": 0.3})
    with pytest.raises(PairError, match=r"a mixture of two is neither; set train\.mixup to null"):
        train(recipe, out=tmp_path / "run", quiet=True)


def test_views_are_refused_unless_the_recipe_asks_for_clean_targets(records, tmp_path):
    recipe = taught(records, "halves", teacher={"record": str(records / "halves")})
    with pytest.raises(RecipeError, match=r"is of the clean examples, and data.views is crop"):
        train(recipe, out=tmp_path / "run", quiet=True)


def test_a_record_of_other_data_is_refused(records, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"image": rng.integers(0, 255, (40, 8, 8), dtype=np.uint8), "label": np.arange(40) % 4}
    recipe = taught(records, "halves", data={"source": "mine", "limit": None, "test": None})
    with pytest.raises(DataError, match="train/0"):
        train(recipe, out=tmp_path / "run", data=arrays, quiet=True)


def test_binary_soft_labels_are_for_several_classes(records, tmp_path):
    with pytest.raises(PairError, match="has exactly one; use kl in its place"):
        train(taught(records, "halves", method="east-kd"), out=tmp_path / "run", quiet=True)


def test_soft_labels_of_a_probe_teach(records, tmp_path):
    recipe = taught(records, "halves", method="ec+probe-kd")
    run = train(recipe, out=tmp_path / "run", quiet=True)
    assert run.summary["weights"]["kl/logits~embedding"] == 1.0


def test_soft_labels_of_the_compressors_own_probe_teach(records, tmp_path):
    recipe = taught(records, "halves", method="ec-kd", train={"epochs": 3})
    run = train(recipe, out=tmp_path / "run", quiet=True)
    assert run.summary["weights"] == {
        "task": 0.4,
        "distance_correlation/embedding": 0.42,
        "kl/logits~embedding": 0.18,
        "own/distance_correlation/embedding": 1.0,
    }
    assert run.summary["parameters"]["heads"] == 17 * 64 + 65 * 10  # h and one probe
    with pytest.raises(PairError, match="use kl in its place: kd, probe-kd, ec-kd"):
        train(taught(records, "halves", method="ec-binary-kd"), out=tmp_path / "b", quiet=True)


def test_an_adapter_trained_first_drops_out_and_then_uses_all():
    measured = Statistics(torch.zeros(16), torch.ones(16), torch.eye(16), torch.ones(16))
    pair_info, x = PairInfo(3, lambda: measured), torch.randn(60, 16)
    outputs = []
    for dropout in (0.0, 0.5):
        torch.manual_seed(0)
        how = {"learn": "first", "steps": 5, "dropout": dropout}
        _, adapter = compress((8,), (16,), pair_info=pair_info, **how)
        pretrain(adapter, x, torch.arange(60) % 3, None)
        assert torch.equal(adapter(x), adapter(x))
        outputs.append(adapter(x))
    assert not torch.equal(*outputs)


def test_a_record_has_no_logits_and_says_what_to_take(records, tmp_path):
    text = "a record of embeddings has no logits, only embedding; take probe-kd in place of kd"
    with pytest.raises(PairError, match=text):
        train(taught(records, "halves", method="kd"), out=tmp_path / "run", quiet=True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--dtype", "float64"], "there is no --dtype 'float64'; did you mean 'float16'"),
        (
            ["--dtype", "int8"],
            "--dtype int8 needs a scale of each entry, which only a record of a ",
        ),
        (["--column", "labl=x"], "--column has no key 'labl'; did you mean 'label'?"),
        (
            ["--column", "sample_rate=x"],
            "--column: key sample_rate is 'x': input should be a valid",
        ),
        (["--column", "kind=text"], "--column has no key 'kind'"),
        (["--option", "channels=x"], "network:resnet8-cifar: option channels is 'x': input should"),
    ],
)
def test_mistakes_of_the_command_are_said_before_anything_is_recorded(
    options, text, tmp_path, mentee
):
    network = models.build("resnet8-cifar", classes=10, channels=1, seed=0)
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    more = [] if options[1].startswith("channels") else ["--option", "channels=1"]
    command = ["record", "embedded:digits", "--teacher", "network:resnet8-cifar"]
    command += ["--option", f"weights={tmp_path / 'a.safetensors'}", *more, *options]
    status, out, err = mentee(*command, "--out", tmp_path / "r")
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {text}")
    assert not (tmp_path / "r").exists()


def test_a_wrong_type_of_a_networks_record_is_said_too(tmp_path, mentee):
    status, _, err = mentee("record", "any.yaml", "--out", tmp_path / "r", "--dtype", "float64")
    assert (status, err[:40]) == (2, "error: there is no --dtype 'float64'; di")


def test_vectors_may_be_stored_as_bfloat16(tmp_path):
    teacher = embedder(halves, name="halves", kind="image", width=16)
    quiet = {"say": lambda line: None, "batch": 512}
    found = record("embedded:digits", teacher, tmp_path / "r", dtype="bfloat16", **quiet)["train"]
    assert found.manifest.dtype == "bfloat16"
    first = open_examples("embedded:digits").read(np.arange(2))
    np.testing.assert_allclose(found.vectors(range(2)), halves(first), rtol=2**-8)


@pytest.mark.parametrize("layout", ["classes", "table"])
def test_a_teacher_of_images_refuses_clips_without_decoding_them(layout, tmp_path):
    folder = tmp_path / "notes" / "train"
    for number in range(4):
        path = folder / ("ab"[number % 2] if layout == "classes" else "") / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"never read")
    if layout == "table":
        rows = "".join(f"{number}.wav,{number % 2}\n" for number in range(4))
        (folder / "metadata.csv").write_text(f"file_name,label\n{rows}")
    teacher = embedder(halves, name="halves", kind="image", width=16)
    text = r"halves reads image, .*notes \[train\] holds audio; choose a teacher of audio$"
    with pytest.raises(DataError, match=text):
        record(tmp_path / "notes", teacher, tmp_path / "r")


def test_a_folder_with_more_images_gets_the_rows_that_are_missing(tmp_path):
    from PIL import Image

    def add(name, seed):
        path = tmp_path / "pictures" / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    for seed, name in enumerate(("a/1.png", "b/1.png", "b/3.png")):
        add(name, seed)
    teacher = embedder(halves, name="halves", kind="image", width=16)
    lines: list[str] = []

    def again():
        where = (tmp_path / "pictures", teacher, tmp_path / "r")
        return record(*where, say=lines.append)["train"]

    first = again().vectors(range(3))
    for seed, name in enumerate(("a/0.png", "b/2.png"), 5):
        add(name, seed)
    found = again()
    assert [Path(name).name for name in found.ids] == ["1.png", "1.png", "3.png", "0.png", "2.png"]
    np.testing.assert_array_equal(found.vectors(range(3)), first)
    found.check(open_examples(tmp_path / "pictures", kind="image"))
    again()
    assert "3 images" in lines[1]
    assert "2 images" in lines[4]
    assert lines[7] == "train: all 5 examples have a row already"


def test_records_in_memory_teach_the_same(records, tmp_path):
    plain = taught(records, "halves", "noise")
    loaded = plain | {"teacher": plain["teacher"] | {"in_memory": True}}
    runs = [train(r, out=tmp_path / str(i), quiet=True) for i, r in enumerate((plain, loaded))]
    assert losses_of(runs[0]) == losses_of(runs[1])


def test_verify_knows_the_teacher_and_the_data_again(tmp_path, mentee):
    """A ResNet by its name and a file of weights, over digits by their name."""
    weights = models.build("resnet8-cifar", classes=3, channels=1).state_dict()
    save_file(weights, tmp_path / "w.safetensors")
    option = ("--option", f"weights={tmp_path / 'w.safetensors'}", "--option", "channels=1")
    named = ("embedded:digits", "--teacher", "network:resnet8-cifar", *option)
    out = tmp_path / "r"
    status, said, err = mentee("record", *named, "--splits", "train,test", "--out", out)
    assert status == 0, err
    status, said, err = mentee("record", "verify", out, "--sample", "20")
    assert status == 0, err
    first, *lines = said.splitlines()
    assert first == "worst cosine of 40 examples (clean)"
    assert [line.split()[0] for line in lines] == ["test", "train"]
    assert all(0.9999 < float(line.split()[1]) <= 1.000001 for line in lines)
    assert (
        mentee("record", "verify", out / "train", *named, "--sample", "20")[1].split()[-1] > "0.99"
    )
    weights["fc.bias"] += 1
    weights["conv1.weight"] *= -1
    save_file(weights, tmp_path / "w.safetensors")
    status, said, err = mentee("record", "verify", out)
    assert (status, said) == (2, "")
    assert "is of another teacher: " in err
    shard = out / "test" / "clean" / "shard-00000.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert "shard-00000.npy is damaged" in mentee("record", "verify", out)[2]


def test_what_was_passed_or_imported_has_to_be_named_to_be_verified(records):
    teacher = embedder(halves, name="halves", kind="image", width=16)
    with pytest.raises(DataError, match=r"every file of .* is as it was written, but .* Name them"):
        verify(records / "noise")
    found = verify(records / "halves", "embedded:digits", teacher=teacher, sample=30)
    assert (found.examples, set(found.cosine)) == (60, {"train", "test"})
    assert min(found.cosine.values()) > 0.99999
    other = {"image": np.zeros((20, 8, 8), np.uint8)}
    with pytest.raises(DataError, match=r"does not fit"):
        verify(records / "halves" / "train", other, teacher=teacher)


def test_options_are_pairs():
    assert parsed(["size=128", "pretrained=true", "weights=a.st"], "--option") == {
        "size": 128,
        "pretrained": True,
        "weights": "a.st",
    }
    with pytest.raises(RecipeError, match="--option size: expected key=value"):
        parsed(["size"], "--option")


def test_time_frames_are_those_of_the_clip_that_the_student_reads(tmp_path):
    waves = np.random.default_rng(0).standard_normal((40, 8000)).astype(np.float32) / 10
    arrays = {"audio": waves, "sample_rate": 8000, "label": np.arange(40) % 4}
    teacher = embedder(
        lambda clips: torch.stack([torch.as_tensor(c)[:3000].reshape(6, 500) for c in clips]),
        name="samples",
        kind="audio",
        width=500,
        sample_rate=8000,
    )
    record(arrays, teacher, tmp_path / "rec", frames=True, seconds=0.5, say=lambda line: None)
    term = {
        "layers": ["stages.2", "frames"],
        "representation": {"name": "compress", "params": {"width": 4, "per_frame": True}},
        "loss": "distance_correlation",
        "weight": 1.0,
    }
    recipe = {
        "data": {
            "source": "mine",
            "sample_rate": 8000,
            "seconds": 0.5,
            "validation": None,
            "test": None,
        },
        "student": "small-fcn",
        "teacher": {"record": str(tmp_path / "rec")},
        "method": {"name": "mine", "terms": [term]},
        "train": {"epochs": 1, "batch": 16},
    }
    run = train(recipe, out=tmp_path / "run", data=arrays, quiet=True)
    assert "distance_correlation/stages.2~frames" in run.summary["weights"]
    other = recipe | {"data": recipe["data"] | {"seconds": 0.7}}
    with pytest.raises(
        RecipeError, match=r"time frames of 0\.5 seconds, and data\.seconds is 0\.7"
    ):
        train(other, out=tmp_path / "other", data=arrays, quiet=True)
    moved = recipe | {"data": recipe["data"] | {"views": "shift"}}
    with pytest.raises(RecipeError, match="do not fit a clip that is moved"):
        train(moved, out=tmp_path / "moved", data=arrays, quiet=True)
