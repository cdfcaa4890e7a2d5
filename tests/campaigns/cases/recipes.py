"""Texts that are no recipe, and changes of one that mean nothing.

What reading alone refuses by a bound of the schema or of YAML is in `tests/recipe/test_bounds.py`.
"""

from __future__ import annotations

from pathlib import Path

from tests.campaigns.bad_inputs import Case

SMALL = "data: embedded:digits\nstudent: resnet8-cifar\n"
TRAIN = ["train", "recipe.yaml", "--out", "new"]


def text(name: str, content: str | bytes) -> Case:
    """A recipe of this text, trained."""

    def prepare(box: Path) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (box / "bad.yaml").write_bytes(data)

    return Case(f"yaml/{name}", ["train", "bad.yaml", "--out", "new"], prepare)


def change(value: str, name: str = "", base: str = "recipe.yaml") -> Case:
    """One `--set`."""
    name = name or value
    where = "" if base == "recipe.yaml" else f"{base.removesuffix('.yaml')} "
    return Case(f"set/{where}{name}", ["train", base, "--out", "new", "--set", value])


YAML = [
    text("empty", ""),
    text("a comment", "# nothing\n"),
    text("a list", "- a\n"),
    text("a number", "42\n"),
    text("a text", "hello\n"),
    text("binary", bytes(range(256))),
    text("latin-1", SMALL.encode() + b"x: \xe9\n"),
    text("UTF-16", SMALL.encode("utf-16")),
    text("tab", "\tdata: x\n"),
    text("unclosed", SMALL + "x: [1, 2\n"),
    text("two colons", "a: b: c\n"),
    text("two documents", SMALL + "---\n" + SMALL),
    text("version", "%YAML 9.9\n---\n" + SMALL),
    text("a parameter twice", SMALL + "method: {name: kd, params: {kl.t: 1, kl.t: 2}}\n"),
    text("a merged key twice", "x: &x {a: 1}\ny: {<<: *x, <<: *x}\n" + SMALL),
    text("not a number", SMALL + "train: {weight_decay: .nan}\n"),
    text("deep but closed", SMALL + "x: " + "[" * 500 + "]" * 500),
    text("deep blocks", SMALL + "".join(f"{' ' * i}k:\n" for i in range(500))),
    text("a mapping of itself", "x: &x {y: *x}\n" + SMALL),
    text("unknown alias", SMALL + "teacher: *nobody\n"),
    text("code by name", SMALL + "train: !!python/name:os.system\n"),
    text("code by import", SMALL + "train: !!python/module:antigravity\n"),
    text("a set", SMALL + "train: !!set {a, b}\n"),
    text("own tag", SMALL + "train: !mine {a: b}\n"),
    text("a name of 1 MB", SMALL + "teacher: " + "a" * 1_000_000 + "\n"),
    text("a name of 100 kB", SMALL + "teacher: " + "a" * 100_000 + "\n"),
    text("a key of 100 kB", SMALL + "k" * 100 + ": 1\n" + "? " + "k" * 100_000 + "\n: 1\n"),
    text("no student", "data: embedded:digits\n"),
    text("old keys", SMALL + "train: {rate: 0.1, workers: 2}\n"),
]  # fmt: skip

CHANGES = [
    *(
        change(value)
        for value in """
train.epochs=0
train.epochs=-1
train.epochs=1.5
train.epochs=true
train.epochs=ten
train.epochs=null
train.epochs=[1]
train.batch=0
train.batch=-5
train.batch=1000000
train.batch=1e6
train.gradient_accumulation=0
train.gradient_accumulation=7
train.optimizer=lion
train.lr=0
train.lr=-0.1
train.lr='0.1'
train.momentum=1
train.momentum=-0.1
train.momentum=.nan
train.nesterov=maybe
train.nesterov=1
train.weight_decay=-1
train.schedule=linear
train.schedule=steps
train.milestones=[0]
train.milestones=5
train.milestones=[1]
train={epochs: 1, batch: 32, schedule: steps, milestones: [5]}
train.factor=0
train.warmup=-1
train.warmup=9
train.max_grad_norm=0
train.max_grad_norm=.inf
train.ema=1
train.ema=1.5
train.label_smoothing=1
train.label_smoothing=-0.1
train.mixup=0
train.mixup=.inf
train.precision=float8
train.precision=float16
train.channels_last=maybe
train.compile=sometimes
train.num_workers=-1
train.seed=1.0
train.seed=99999999999999999999
data.source=
data.source=nowhere
data.source=/dev/zero
data.source=/proc/self/mem
data.source=embedded:nothing
data.source=hub:
data.source=hub:a b/c
data.source=recipe.yaml
data.source=**
data.kind=video
data.kind=audio
data.train=nothing
data.train=
data.validation=0
data.validation=1
data.validation=nothing
data.test=nothing
data.limit=0
data.limit=1000000000
data.limit=3
data.label=nothing
data.label=[a, a]
data.image=nothing
data.id=nothing
data.classes=[]
data.classes=[a]
data.classes=[1, 2]
data.task=nothing
data.task={name: regression, params: {x: 1}}
data.channels=2
data.channels=7
data.views=spin
data.pad=-1
data.pad=9
data.size=0
data.size=-8
data.size=16384
data.sample_rate=0
data.seconds=0
data.max_bytes=0
data.cycle=0
data.out_of_domain={x: {}}
data.out_of_domain={x: {corruption: rain}}
data.out_of_domain={x: {severity: 3}}
data.out_of_domain={x: {corruption: all, severity: 9}}
data.out_of_domain={x: {split: nothing}}
data.unlabeled={share: 1}
data.unlabeled={split: nothing}
data.unlabeled={source: nowhere}
student=
student=nothing
student=resnet20
student=timm:nothing
student=torchvision:nothing
student=package:nothing
student=zoo:nothing
student=small-fcn
student=../../evil
student.classes=0
student.classes=3
student.options.widths=[16,32]
student.options.widths=[0,0,0]
student.options.widths=[-8,8,8]
student.options.widths=[16]
student.options.widths=[]
student.options.widths=16
student.options.widths=[65536,65536,65536]
student.options.stem=0
student.options.stem=1.5
student.options.depth=9
student.options={classes: 3}
student.options.nothing=1
student.weights=nowhere
student.weights=/dev/zero
student.input=nothing
student.input={mean: [0.5], std: [0]}
student.input={mean: [0.5, 0.5], std: [1, 1]}
student.input={max_bytes: 3}
student.size=0
student.size=100000
student.classifier=nowhere
student.reuse={factor: 0}
student.reuse={}
teacher=nothing
teacher={record: nowhere}
teacher={record: run}
teacher={record: {a: nowhere}}
teacher={ema: 1}
teacher={networks: []}
teacher={teachers: {}}
teacher={teachers: {../a: resnet8-cifar}}
teacher={teachers: {a: {record: nowhere}}, weights: {b: 1}}
method=nothing
method=kd
method=kd+kd
method=kd(
method=cktf(nothing)
method={name: kd, balance: sometimes}
method={name: none, params: {kl.temperature: 4}}
method={name: none, weights: {task: .inf}}
method={terms: []}
method={name: x, terms: [{layers: logits, loss: nothing, weight: 1}]}
method={name: x, terms: [{layers: [a, b, c], loss: kl, weight: 1}]}
method={name: x, terms: [{layers: logits, loss: kl, weight: .inf}]}
monitor={limit: 0}
monitor={knn: 0}
monitor={split: nothing}
monitor={temperature: 0}
probe={shares: []}
probe={shares: [0]}
probe={shares: [2]}
probe={ways: [guess]}
probe={seeds: 1000000}
select.by=beauty
select.keep=worst
select.every=0
select.patience=0
select.cooldown=1
select.threshold=1
save.steps=0
save.minutes=0
save.minutes=.inf
trackers=[nothing]
trackers=tensorboard
nothing=1
train.nothing=1
train=5
train=null
data=null
data=5
=1
train.epochs
train..lr=1
.=1
""".strip().splitlines()
    ),
    change(f"student={'a' * 100_000}", "a name of 100 kB"),
    change(f"data.source={'a' * 300}", "a source of 300 letters"),
    change(f"data.source={'a/' * 2000}", "a source of 2,000 folders"),
    change(f"student.weights={'a' * 300}", "weights of 300 letters"),
    change(f"teacher={{record: {'a' * 300}}}", "a record of 300 letters"),
    change("method={name: kd, params: {kl.temperature: 0}}", base="kd.yaml"),
    change("method={name: kd, params: {kl.temperature: -1}}", base="kd.yaml"),
    change("method={name: kd, params: {kl.temperature: .inf}}", base="kd.yaml"),
    change("method={name: kd, params: {kl.temperature: hot}}", base="kd.yaml"),
    change("method={name: kd, params: {kl.nothing: 1}}", base="kd.yaml"),
    change("method={name: kd, params: {nothing.x: 1}}", base="kd.yaml"),
    change("method={name: kd, weights: {nothing: 1}}", base="kd.yaml"),
    change("method={name: crd, params: {memory.negatives: 0}}", base="kd.yaml"),
    change("method={name: crd, params: {memory.negatives: 1000000000}}", base="kd.yaml"),
    change(
        "method={name: crd, params: {memory.kind: queue, memory.negatives: 1000000000}}",
        base="kd.yaml",
    ),
    change("method={name: crd, params: {memory.kind: nothing}}", base="kd.yaml"),
    change("method={name: crd, params: {project.width: 0}}", base="kd.yaml"),
    change("method={name: crd, params: {project.width: 1000000000}}", base="kd.yaml"),
    change("method={name: crd, params: {contrast.temperature: 0}}", base="kd.yaml"),
    change("teacher.weights=nowhere", base="kd.yaml"),
    change("teacher.weights=null", base="kd.yaml"),
    change("teacher.classes=3", base="kd.yaml"),
    change("teacher.options.widths=[4,8]", base="kd.yaml"),
    change("teacher.options.widths=[4,8,16]", base="kd.yaml"),
    change("teacher.network=vgg8", base="kd.yaml"),
    change("method=cktf", base="ec.yaml"),
    change("data.views=crop", base="ec.yaml"),
    change("data.train=test", base="ec.yaml"),
]

CASES = [*YAML, *CHANGES]
