"""Arguments of commands that contradict each other or mean nothing."""

from __future__ import annotations

from pathlib import Path

from tests.campaigns.bad_inputs import Case

LONG = "a" * 300


def command(line: str) -> Case:
    """A command line, cut at blanks; LONG stands for a name of 300 letters."""
    return Case(f"command/{line}", line.replace("LONG", LONG).split())


def full(box: Path) -> None:
    """Something else lies where the output goes."""
    (box / "new").write_text("mine")


CASES = [
    *(
        command(line)
        for line in """
nothing
train
train nowhere.yaml
train nothing
train LONG
train run
train /dev/null
train .
train recipe.yaml --nothing
train recipe.yaml --set
train recipe.yaml --out LONG
train recipe.yaml --out run
train recipe.yaml --out /proc/new
train recipe.yaml --out recipe.yaml
train recipe.yaml --out recipe.yaml/new
resume
resume nowhere
resume photos
resume LONG
resume recipe.yaml
resume /
evaluate nowhere
evaluate run --split nothing
evaluate run --data nowhere
evaluate run --data photos
evaluate run --data clips
evaluate run --data texts
evaluate run --data /dev/zero
evaluate run --data LONG
evaluate run --on x
evaluate run --on x=
evaluate run --on =test
evaluate run --on x=nowhere:test
evaluate run --on x=nothing
evaluate run --on x=test --on x=train
evaluate run --on x=test --data photos
evaluate run --corruptions --limit 0
evaluate run --corruptions --limit -1
evaluate run --limit x
report nowhere
report photos
report LONG
record
record recipe.yaml
record recipe.yaml --out rec
record nowhere.yaml --out rec
record kd.yaml --out rec --views -1
record kd.yaml --out rec --views 1000000
record kd.yaml --out rec --batch 0
record kd.yaml --out rec --dtype int3
record kd.yaml --out rec --methods nothing
record kd.yaml --out rec --methods crd,,nothing
record kd.yaml --out rec --methods none
record kd.yaml --out rec --pca 0
record kd.yaml --out rec --pca x
record kd.yaml --out rec --pca 1000000
record kd.yaml --out rec --pca nothing=3
record kd.yaml --out rec --top-k 0
record kd.yaml --out rec --top-k -1
record kd.yaml --out rec --top-k 1000000
record kd.yaml --out recipe.yaml
record kd.yaml --out LONG
record embedded:digits --teacher nothing --out rec
record embedded:digits --teacher minilm --out rec
record embedded:digits --teacher onnx:nowhere.onnx --out rec
record embedded:digits --teacher onnx:recipe.yaml --out rec
record embedded:digits --teacher timm:nothing --out rec
record embedded:digits --teacher network:nothing --out rec
record embedded:digits --teacher network:resnet8-cifar --out rec --option weights=nowhere
record embedded:digits --teacher network:resnet8-cifar --out rec --option nothing=1
record embedded:digits --teacher network:resnet8-cifar --out rec --option nothing
record embedded:digits --teacher network:resnet8-cifar --out rec --option size=0
record embedded:digits --teacher network:resnet8-cifar --out rec --option size=010
record embedded:digits --teacher network:resnet8-cifar --out rec --splits nothing
record embedded:digits --teacher network:resnet8-cifar --out rec --splits ,
record embedded:digits --teacher network:resnet8-cifar --out rec --splits ../x
record embedded:digits --teacher network:resnet8-cifar --out rec --seconds -1
record embedded:digits --teacher network:resnet8-cifar --out rec --seconds inf
record embedded:digits --teacher network:resnet8-cifar --out rec --dtype int8
record embedded:digits --teacher network:resnet8-cifar --out rec --frames
record embedded:digits --teacher network:resnet8-cifar --out rec --views 2
record embedded:digits --teacher network:resnet8-cifar --out rec --column nothing=1
record embedded:digits --teacher network:resnet8-cifar --out rec --column label=1
record import nowhere.npz embedded:digits --out rec
record import recipe.yaml embedded:digits --out rec
record import vectors.npz nowhere --out rec
record import vectors.npz photos --out rec
record import vectors.npz embedded:digits --out record
record import vectors.npz embedded:digits --out rec --key nothing
record import vectors.npz embedded:digits --out rec --id nothing
record import vectors.npz embedded:digits --out rec --id vectors
record import vectors.npz embedded:digits --out rec --split nothing
record import vectors.npz embedded:digits --out rec --split test
record import vectors.npz embedded:digits --out rec --frames 0
record import vectors.npz embedded:digits --out rec --frames 3
record import vectors.npz embedded:digits --out rec --frames -2
record import vectors.npz embedded:digits --out rec --ids nowhere
record import vectors.npz embedded:digits --out rec --columns emb_*
record import vectors.npz embedded:digits --out rec --column 5
record verify nowhere
record verify run
record verify record nowhere
record verify record photos
record verify record --sample 0
record verify record --teacher nothing
sweep recipe.yaml
sweep recipe.yaml --methods nothing --out new
sweep recipe.yaml --methods none,none --out new
sweep recipe.yaml --methods , --out new
sweep recipe.yaml --methods none --seeds 0
sweep recipe.yaml --methods none --seeds 1000000 --out new
sweep recipe.yaml --methods none --seeds -1
sweep recipe.yaml --methods none --processes 0
sweep recipe.yaml --methods none --processes 1000000 --out new
sweep recipe.yaml --methods none --students nothing --out new
sweep recipe.yaml --methods none --students small-fcn --out new
sweep recipe.yaml --methods none --record nowhere --out new
sweep recipe.yaml --methods none --views 3 --out new
sweep kd.yaml --methods kd --live --views 3 --out new
sweep recipe.yaml --methods ../evil --out new
sweep recipe.yaml --methods none --out recipe.yaml
compare recipe.yaml --methods nothing --out new
compare recipe.yaml --methods none --budget 0 --out new
compare recipe.yaml --methods none --budget 2 --out new
compare recipe.yaml --methods none --budget nan --out new
compare recipe.yaml --methods none --seeds 0 --out new
probe
probe nowhere
probe photos
probe run --ways guess
probe run --shares 0
probe run --shares 2
probe run --shares x
probe run --shares nan
probe run --shares 1e-9
probe run --seeds 0
probe run --seeds 1000000
probe run --set nothing
probe run --set probe.source=nowhere
probe run --ways knn]
pipeline nowhere.yaml
pipeline recipe.yaml --ways guess --out new
pipeline recipe.yaml --shares x --out new
pipeline kd.yaml --views 1000000 --out new
pipeline kd.yaml --views -1 --out new
pipeline recipe.yaml --out recipe.yaml
methods nothing
methods kd+nothing
methods cktf(
methods kd --student resnet8-cifar
methods kd --student nothing --teacher resnet8-cifar
methods --student resnet8-cifar --teacher resnet14-cifar --size 0
methods --student resnet8-cifar --teacher resnet14-cifar --size 1000000
methods --student resnet8-cifar --teacher resnet14-cifar --channels 1000000000
methods --student resnet8-cifar --teacher resnet14-cifar --classes 1000000000
methods --student resnet8-cifar --teacher resnet14-cifar --task nothing
methods --student resnet8-cifar --teacher resnet14-cifar --examples 1
layers
layers nothing
layers timm:nothing
layers resnet8-cifar --size 0
layers resnet8-cifar --size 1000000
layers resnet8-cifar --size x
layers resnet8-cifar --classes 0
layers resnet8-cifar --classes 10000000000
layers resnet8-cifar --channels 0
layers resnet8-cifar --channels 10000000000
layers torchvision:resnet18 --channels 5
demo nothing
demo --seeds 0
demo --seeds 100000000
demo --teacher nowhere
demo --data nothing
places resnet8-cifar
""".strip().splitlines()
    ),
    Case("command/out is a file", ["train", "recipe.yaml", "--out", "new"], full),
    Case("command/out below a file", ["train", "recipe.yaml", "--out", "new/deeper"], full),
    Case("command/record below a file", ["record", "kd.yaml", "--out", "new/rec"], full),
    Case("command/sweep into a file", ["sweep", "recipe.yaml", "--methods", "none", "--out", "new"], full),
    Case("command/NUL", ["train", "a\0b"]),
    Case("command/surrogate", ["train", "a\udcff.yaml"]),
    Case("command/NUL in out", ["train", "recipe.yaml", "--out", "a\0b"]),
    Case("command/NUL in data", ["evaluate", "run", "--data", "a\0b"]),
    Case("command/NUL in run", ["resume", "a\0b"]),
    Case("command/1 MB", ["train", "a" * 1_000_000]),
]  # fmt: skip
