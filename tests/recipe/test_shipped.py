"""Every shipped recipe: it parses, its method binds to its pair as published, and it trains."""

import csv

import datasets
import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import save_file

import mentee
from mentee import models, recipe
from mentee.api import import_vectors
from mentee.build.optimizer import resolve_optimizer
from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.errors import MenteeError
from mentee.features import resolve
from mentee.memory import Bank
from mentee.methods import METHODS

PAIRS = {
    "cifar100-wrn-40-2-to-wrn-16-2": ("wrn-40-2", "wrn-16-2"),
    "cifar100-wrn-40-2-to-wrn-40-1": ("wrn-40-2", "wrn-40-1"),
    "cifar100-resnet56-to-resnet20": ("resnet56-cifar", "resnet20-cifar"),
    "cifar100-resnet110-to-resnet20": ("resnet110-cifar", "resnet20-cifar"),
    "cifar100-resnet110-to-resnet32": ("resnet110-cifar", "resnet32-cifar"),
    "cifar100-resnet32x4-to-resnet8x4": ("resnet32x4-cifar", "resnet8x4-cifar"),
    "cifar100-vgg13-to-vgg8": ("vgg13", "vgg8"),
    "tiny-imagenet-vgg19-to-vgg8": ("vgg19", "vgg8"),
    "tiny-imagenet-vgg16-to-vgg11": ("vgg16", "vgg11"),
    "tiny-imagenet-resnet34-to-resnet10": ("resnet34-64", "resnet10-64"),
    "tiny-imagenet-resnet50-to-resnet10": ("resnet50-64", "resnet10-64"),
}
# Without labels: teacher, student, inputs of the heads, last epochs of the curves.
LABEL_FREE = {
    "stl10-vgg19-to-vgg19": ("vgg19", "vgg19", "78.51 / 78.43 / 79.48"),
    "stl10-vgg19-to-vgg8": ("vgg19", "vgg8", "77.26 / 78.18 / 78.91"),
    "stl10-resnet18-to-resnet18": ("resnet18-64", "resnet18-64", "76.22 / 80.34 / 81.10"),
}
TEACHERS = ("cifar100-teacher", "tiny-imagenet-teacher")
BORN_AGAIN = "cifar100-born-again"
EXAMPLES = 12

# Of the papers: entries of each teacher's vectors, and the agreement's share of the loss.
WIDTHS = {"vggish": 128, "openl3": 512, "passt": 768, "panns": 2048}
SHARES = {
    "openmic-vggish": 0.8,
    "openmic-openl3": 0.8,
    "openmic-passt": 0.9,
    "openmic-panns": 0.9,
    "magnatagatune-vggish": 0.6,
    "magnatagatune-openl3": 0.6,
    "magnatagatune-passt": 0.6,
    "magnatagatune-panns": 0.6,
}

# Inputs of the heads in the published code: stem, stages, embedding.
HEADS = {
    "resnet20-cifar": [256, 256, 128, 64, 64],
    "resnet32-cifar": [256, 256, 128, 64, 64],
    "resnet56-cifar": [256, 256, 128, 64, 64],
    "resnet110-cifar": [256, 256, 128, 64, 64],
    "resnet8x4-cifar": [512, 1024, 512, 256, 256],
    "resnet32x4-cifar": [512, 1024, 512, 256, 256],
    "wrn-16-2": [256, 512, 256, 128, 128],
    "wrn-40-2": [256, 512, 256, 128, 128],
    "wrn-40-1": [256, 256, 128, 64, 64],  # published: padded to 256, 512, 256, 128
    "vgg8": [64, 128, 256, 512, 512, 512],
    "vgg11": [64, 128, 256, 512, 512, 512],
    "vgg13": [64, 128, 256, 512, 512, 512],
    "vgg16": [64, 128, 256, 512, 512, 512],
    "vgg19": [64, 128, 256, 512, 512, 512],
    "resnet10-64": [64, 64, 128, 256, 512, 512],
    "resnet18-64": [64, 64, 128, 256, 512, 512],
    "resnet34-64": [64, 64, 128, 256, 512, 512],
    "resnet50-64": [64, 256, 512, 1024, 2048, 2048],
}


def test_the_shipped_recipes_are_these():
    alone = {"cifar10-laptop", "cifar10-label-free", BORN_AGAIN}
    assert {*recipe.shipped()} == {*PAIRS, *LABEL_FREE, *TEACHERS, *SHARES, *alone}


@pytest.mark.parametrize("name", recipe.shipped())
def test_header_says_paper_needs_result_and_time(name):
    text = recipe.shipped()[name].read_text(encoding="utf-8")
    header = [line for line in text.splitlines() if line.startswith("#")]
    said = {line[2:].partition(":")[0] for line in header}
    assert {"Paper", "Needs", "Result", "Time"} <= said
    assert f"mentee train {name}" in "\n".join(header)
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", recipe.shipped())
def test_parses_and_comes_back_from_its_own_text(name):
    read = recipe.read(name)
    assert recipe.read(yaml.safe_load(recipe.dump(read))) == read


@pytest.mark.parametrize("name", [*PAIRS, *LABEL_FREE, *TEACHERS, BORN_AGAIN])
def test_schedule_is_the_published_one(name):
    said = resolve_optimizer(recipe.read(name).train, "image")
    assert (said.optimizer, said.lr, said.momentum, said.weight_decay) == ("sgd", 0.05, 0.9, 5e-4)
    assert (said.epochs, said.batch, said.milestones) == (240, 64, [150, 180, 210])
    assert (said.schedule, said.factor, said.nesterov, said.warmup) == ("steps", 0.1, False, 0)
    assert (said.weight_decay_all, said.label_smoothing, said.ema) == (True, 0.0, None)


@pytest.mark.parametrize("name", PAIRS)
def test_method_is_the_published_one(name):
    said = recipe.read(name)
    method = said.method.method(METHODS)
    contrasts = {t.layer_pair[0]: t for t in method.terms if t.loss.name == "contrast"}
    assert {place: t.weight for place, t in contrasts.items()} == {
        "stem": 0.1,
        "stages": 0.1,
        "embedding": 0.8,
    }
    for term in contrasts.values():
        assert term.loss.params["temperature"] == (0.07 if name.startswith("tiny") else 0.1)
        assert term.memory.params["negatives"] == 16384
        assert term.memory.params["momentum"] == 0.5
        assert term.representation.params["width"] == 128
    soft = [(t.layer_pair[0], t.weight) for t in method.terms if t.loss.name == "kl"]
    assert soft == [("logits", 1.0)]
    assert method.task == 1.0


def test_a_network_is_born_again_of_labels_and_plain_soft_targets():
    said = recipe.read(BORN_AGAIN)
    assert said.teacher == said.student
    method = said.method.method(METHODS)
    (term,) = method.terms
    assert (method.task, term.weight, term.loss.params["temperature"]) == (1.0, 1.0, 1.0)
    assert (term.loss.name, term.layer_pair) == ("kl", ("logits", "logits"))


@pytest.mark.parametrize("name", PAIRS)
def test_method_binds_to_the_pair_with_the_published_heads(name):
    said = recipe.read(name, ["method.params.memory.negatives=4"])
    assert (said.teacher.network, said.student.network) == PAIRS[name]
    size, classes = (64, 200) if name.startswith("tiny") else (32, 100)
    method, shapes = said.method.method(METHODS), []
    for network, places in zip((said.student, said.teacher), required_layers(method), strict=True):
        built = models.build(network.network, classes=classes, seed=0)
        found = resolve(built, places, torch.zeros(2, 3, size, size))
        shapes.append({place.name: place.shape for place in found})
    groups = torch.arange(EXAMPLES) % 3
    criterion = DistillationLoss(method, *shapes, groups=groups, examples=EXAMPLES)

    contrasts = [bound for bound in criterion.bound_terms if bound.memory]
    for side, network in enumerate((said.student.network, said.teacher.network)):
        heads = [criterion.adapters_of(bound)[side].head.in_features for bound in contrasts]
        assert heads == HEADS[network]
    assert len(criterion.memories) == 1
    assert isinstance(criterion.memories[0], Bank)
    assert len(criterion.bound_terms) == len(contrasts) + 1


@pytest.mark.parametrize("name", LABEL_FREE)
def test_without_labels_the_method_is_the_published_one_and_binds(name):
    said = recipe.read(name, ["method.params.memory.negatives=4"])
    teacher, student, _ = LABEL_FREE[name]
    assert (said.teacher.network, said.student.network) == (teacher, student)
    assert (said.data.label, said.teacher.classes) == (False, 200)
    method, shapes = said.method.method(METHODS, labels=False), []
    weights = {term.layer_pair[0]: term.weight for term in method.terms}
    assert (weights, method.task) == ({"stem": 0.04, "stages": 0.04, "embedding": 1.0}, 0)
    assert {term.loss.params["temperature"] for term in method.terms} == {0.07}
    assert {t.memory.params["momentum"] for t in method.terms} == {0.5}
    assert recipe.read(name).method.params["memory.negatives"] == 16384
    for network, places in zip((student, teacher), required_layers(method), strict=True):
        found = resolve(
            models.build(network, classes=200, seed=0), places, torch.zeros(2, 3, 64, 64)
        )
        shapes.append({place.name: place.shape for place in found})
    criterion = DistillationLoss(method, *shapes, groups=None, examples=EXAMPLES)
    for side, network in enumerate((student, teacher)):
        heads = [
            criterion.adapters_of(bound)[side].head.in_features for bound in criterion.bound_terms
        ]
        assert heads == HEADS[network]
    layer = said.probe.layer
    assert (layer.epochs, layer.lr, layer.momentum, layer.weight_decay) == (240, 0.05, 0.9, 5e-4)
    assert (layer.milestones, layer.factor, layer.batch) == ([150, 180, 210], 0.1, 64)


@pytest.mark.parametrize("name", LABEL_FREE)
def test_the_other_rows_of_the_figure_are_a_set_away_as_the_header_says(name):
    text = recipe.shipped()[name].read_text(encoding="utf-8")
    lines = [line.removeprefix("#").split() for line in text.splitlines()]
    sets = [[w for w in words if w != "--set"] for words in lines if words[:1] == ["--set"]]
    rows = {}
    for changes in sets:
        said = recipe.read(name, changes).method
        rows[said.name] = said.method(METHODS, labels=False)
    assert {*rows} == {"kd", "crd-bank"}
    (soft,), (contrast,) = rows["kd"].terms, rows["crd-bank"].terms
    assert (soft.weight, soft.loss.params) == (1.0, {"temperature": 4.0})
    assert (contrast.weight, contrast.loss.params) == (1.0, {"temperature": 0.07})
    assert LABEL_FREE[name][2] in text


def images(count, size, seed):
    """A few images of the hub's columns: noise, four classes."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    features = datasets.Features(
        img=datasets.Image(),
        fine_label=datasets.ClassLabel(names=["a", "b", "c", "d"]),
        coarse_label=datasets.ClassLabel(names=["e", "f"]),
    )
    rows = [
        {"img": image, "fine_label": number % 4, "coarse_label": number % 2}
        for number, image in enumerate(pixels)
    ]
    return datasets.Dataset.from_list(rows, features=features)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("cifar10-laptop", 32),
        ("cifar100-teacher", 32),
        ("cifar100-resnet56-to-resnet20", 16),
        ("cifar100-wrn-40-2-to-wrn-16-2", 16),
        ("tiny-imagenet-vgg19-to-vgg8", 64),
    ],
)
def test_trains_two_steps(name, size, tmp_path):
    said = recipe.read(name)
    changes = ["train.epochs=1", "train.batch=8", "data.limit=null", "data.label=fine_label"]
    if name == "cifar100-teacher":
        changes.append("student.network=resnet8-cifar")
    if name.startswith("tiny"):
        changes.append("data.size=16")
    if said.teacher is not None:
        weights = tmp_path / "teacher.safetensors"
        save_file(models.build(said.teacher.network, classes=4, seed=1).state_dict(), weights)
        changes.append(f"teacher.weights={weights}")
    data = datasets.DatasetDict({"train": images(20, size, 0), said.data.test: images(5, size, 1)})
    steps = []
    run = mentee.train(
        name, out=tmp_path / "run", changes=changes, data=data, quiet=True, on_step=steps.append
    )
    share = said.data.validation if isinstance(said.data.validation, float) else 0.0
    validation = max(round(share * 20), 1)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert len(steps) == (20 - validation) // 8
    assert run.summary["classes"] == ["a", "b", "c", "d"]
    assert run.summary["examples"] == {
        "train": 20 - validation,
        "validation": validation,
        "test": 5,
    }
    assert (run.path / "student.safetensors").is_file()
    contrasts = [n for n in steps[0].losses if n.startswith(("contrast/", "info_nce/"))]
    places = "abcd" if name == "cifar10-laptop" else HEADS.get(said.student.network, "abcde")
    expected = 0 if said.teacher is None else len(places)
    assert len(contrasts) == expected


@pytest.mark.parametrize("name", SHARES)
def test_student_and_schedule_of_the_embedding_recipes_are_the_papers(name):
    said, share, instruments = recipe.read(name), SHARES[name], name.startswith("openmic")
    train, data = said.train, said.data
    assert said.student.network == ("cp-resnet" if instruments else "mobile-fcn")
    assert (data.sample_rate, data.seconds) == ((32000, 10.0) if instruments else (16000, 29.0))
    assert len({*data.label}) == (20 if instruments else 50)
    assert (train.lr, train.weight_decay, train.batch, train.max_grad_norm) == (1e-4, 1e-4, 16, 1.0)
    assert (train.mixup, said.select.patience) == ((0.3, 15) if instruments else (None, 12))
    assert said.select.threshold == (0.4 if instruments else 0.5)

    compressed = said.method.method(METHODS)
    assert [(t.representation.name, t.weight) for t in compressed.terms] == [("compress", share)]
    assert compressed.task == pytest.approx(1 - share)


@pytest.mark.parametrize("name", SHARES)
def test_the_papers_own_methods_are_a_set_away_as_the_header_says(name):
    share, method = SHARES[name], []
    for line in recipe.shipped()[name].read_text(encoding="utf-8").splitlines():
        words = line.removeprefix("#").split()
        if words[:1] == ["--set"]:
            method += [word for word in words if word != "--set"]
    assert method[:2] == ["method.name=east", "method.name=east-kd"]
    plain = recipe.read(name, method[:1]).method.method(METHODS)
    soft = recipe.read(name, method[1:]).method.method(METHODS)
    assert [(t.loss.name, t.weight) for t in plain.terms] == [("distance_correlation", share)]
    # L = (1 − λ) L_task + λ (0.7 D + 0.3 KD)
    assert [t.weight for t in soft.terms] == pytest.approx([0.7 * share, 0.3 * share])
    assert [t.loss.name for t in soft.terms] == ["distance_correlation", "binary_kd"]
    assert plain.task == soft.task == pytest.approx(1 - share)


def clips(folder, columns, count, *, rate, seed):
    """Noise of 0.2 to 0.6 seconds, and what applies to it: 1, 0, or an empty cell."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        wave = rng.normal(0, 0.1, rng.integers(rate // 5, rate * 3 // 5))
        soundfile.write(folder / f"{number}.wav", wave, rate)
        cells = rng.choice(["0", "1", ""], len(columns), p=[0.45, 0.45, 0.1])
        rows.append([f"{number}.wav", *cells])
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["file_name", *columns], *rows])


@pytest.mark.parametrize("name", SHARES)
def test_embedding_recipes_train_two_steps(name, tmp_path):
    said = recipe.read(name)
    parts = {"train": 20, "test": 6}
    if said.data.validation == "validation":
        parts = {"train": 16, "validation": 6, "test": 6}
    for seed, (part, count) in enumerate(parts.items()):
        clips(
            tmp_path / "data" / part, said.data.label, count, rate=said.data.sample_rate, seed=seed
        )
    examples = [f"train/{number}.wav" for number in range(parts["train"])]
    width = WIDTHS[name.rpartition("-")[2]]
    vectors = np.random.default_rng(9).normal(size=(len(examples), width)).astype(np.float32)
    np.savez(tmp_path / "vectors.npz", ids=examples[::-1], embedding=vectors)
    records = tmp_path / "records"
    import_vectors(tmp_path / "vectors.npz", tmp_path / "data", records, say=lambda line: None)

    changes = [f"data.source={tmp_path / 'data'}", f"teacher.record={records}"]
    changes += ["data.seconds=0.4", "train.epochs=1", "train.batch=8"]
    if said.student.network == "cp-resnet":
        changes.append("student.options.width=8")
    steps = []
    run = mentee.train(
        name, out=tmp_path / "run", changes=changes, quiet=True, on_step=steps.append
    )
    assert [step.number for step in steps] == [1, 2]
    term = "distance_correlation/embedding"
    assert set(steps[0].losses) == {"task", term, f"own/{term}"}
    assert 0 < steps[0].losses[term] < 1
    assert set(run.summary["test"]) == {"map", "auroc", "f1"}
    assert run.summary["classes"] == said.data.label
    # The compressor and its probe are the heads that are dropped.
    heads = 64 * (width + 1) + len(said.data.label) * (64 + 1)
    assert run.summary["parameters"]["heads"] == heads


@pytest.mark.parametrize("name", ["stl10-vgg19-to-vgg8", "stl10-resnet18-to-resnet18"])
def test_label_free_recipes_train_two_steps_and_are_probed(name, tmp_path):
    said = recipe.read(name)
    weights = tmp_path / "teacher.safetensors"
    save_file(models.build(said.teacher.network, classes=200, seed=1).state_dict(), weights)
    changes = [f"teacher.weights={weights}", "train.epochs=1", "train.batch=8", "data.size=16"]
    changes += ["probe.label=fine_label", "probe.layer.epochs=2", "probe.layer.views=2"]
    changes += ["probe.layer.milestones=[1]"]
    data = datasets.DatasetDict(
        unlabeled=images(16, 20, 0).remove_columns(["fine_label", "coarse_label"]),
        train=images(12, 20, 1),
        test=images(8, 20, 2),
    )
    steps = []
    run = mentee.train(
        name, out=tmp_path / "run", changes=changes, data=data, quiet=True, on_step=steps.append
    )
    assert [step.number for step in steps] == [1, 2]
    assert run.summary["examples"] == {"train": 16, "validation": 0, "test": 0}
    assert run.summary["weights"]["task"] == 0
    contrasts = len(HEADS[said.student.network])
    assert sum(name.startswith("contrast/") for name in steps[0].losses) == contrasts
    found = mentee.probe(run.path, data=data, say=lambda line: None)
    assert len(found.scores("layer", 1.0)) == 1
    assert found.content["settings"]["train"]["examples"] == 12


def test_the_recipe_that_runs_on_a_cpu_reads_its_teacher_at_every_stage(tmp_path):
    name, steps = "cifar10-label-free", []
    data = datasets.DatasetDict(train=images(20, 32, 0), test=images(8, 32, 1))
    changes = ["data.limit=16", "train.epochs=1", "train.batch=8", "teacher.size=32"]
    changes += ["monitor.label=fine_label", "probe.label=fine_label", "probe.shares=[1.0]"]
    try:
        run = mentee.train(
            name, out=tmp_path / "run", changes=changes, data=data, quiet=True,
            on_step=steps.append,
        )  # fmt: skip
    except MenteeError as error:
        if "pip install" not in str(error):
            raise
        pytest.skip(str(error))
    assert len(steps) == 2
    assert len([term for term in steps[0].losses if term.startswith("info_nce/")]) == 4
    assert run.summary["parameters"]["student"] < 300_000
    assert run.summary["monitor"]["examples"] == 20
    assert run.summary["selected"]["by"] == "knn"
    teacher = recipe.read(run.path / "recipe.yaml").teacher
    assert (teacher.classes, teacher.size) == (1000, 32)
    assert teacher.input.mean == [pytest.approx(127 / 255)]
    found = mentee.probe(run.path, data=data, say=lambda line: None)
    assert len(found.scores("knn", 1.0, "untrained")) == 1
