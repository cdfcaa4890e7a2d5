"""Which of the inputs are rightly accepted: the line that tells what was made of each, and why."""

from __future__ import annotations

SPLITS = "2 classes, 13 / 4 / 8 examples (train / validation / test)"
DIGITS = "10 classes, 160 / 130 / 500 examples (train / validation / test)"
RESIZED = "every image is resized to data.size, whatever its proportions"
FINISHED = "nothing of a finished run's scores comes from environment.json"
SHORTER = "the scores come from summary.json; the table of epochs has the lines that are whole"

ACCEPTED: dict[str, tuple[str, str]] = {
    "images/SVG bomb": ("left out of photos/train: 1 .svg", "no SVG is ever read"),
    "images/a folder as image": (
        "photos/train/cat/x.png is a folder, though it is named like one of the images",
        "it is a folder, and the files in a folder below a class are of the class",
    ),
    "images/class with a line break": (
        "3 classes, 13 / 4 / 8 examples (train / validation / test)",
        "a folder may have that name; in a table of the report the break is a blank",
    ),
    "images/deep": (SPLITS, "the files below a class's folder are of the class, however deep"),
    "images/foreign split": (
        "left out of photos: the folder 'extra', no split",
        "the splits of the recipe are there",
    ),
    "images/name of 250 letters": (SPLITS, "a file system holds the name"),
    "images/name with a line break": (SPLITS, "an id may have any character"),
    "images/one pixel": (SPLITS.replace("13", "12"), RESIZED),
    "images/thin image": (SPLITS, RESIZED),
    "images/two metadata": (
        "left out of photos/train: metadata.jsonl",
        "metadata.csv is the table that the docs name",
    ),
    "tables/a cell of 200,000 letters": ("and are cut, such as 'train/24'", "a text may be long"),
    "tables/a cell of 5 MB": ("and are cut, such as 'train/24'", "a text may be long"),
    "tables/an empty text": ("1 of 6 texts are empty, such as 'train/24'", "a text may be empty"),
    "tables/some labels are empty": (
        "4 of 24 examples of texts/train.csv have no label: they are left out",
        "the others have one",
    ),
    "run/checkpoints are gone: resume run": (
        "there is no checkpoint yet: the run starts from its beginning",
        "a run that was killed before its first checkpoint looks the same",
    ),
    **{
        f"run/environment.json is {what}: {command}": (line, FINISHED)
        for what in ("empty", "[]", "cut")
        for command, line in (
            ("report run", "# resnet8-cifar, method none"),
            ("evaluate run", "accuracy           0.0980"),
        )
    },
    "run/metrics.jsonl is empty: report run": ("metrics.jsonl ends at step 0 of 5", SHORTER),
    **{
        f"run/metrics.jsonl is {what}: report run": (
            "metrics.jsonl: a damaged line was left out",
            SHORTER,
        )
        for what in ("[]", "cut", "text", "cut within")
    },
    "run/metrics.jsonl is cut within: resume run": (
        "metrics.jsonl: a damaged line was left out",
        "the checkpoint is whole",
    ),
    "run/predictions are text: report run": (
        "# resnet8-cifar, method none",
        "no line of the report comes from predictions.npz",
    ),
    "run/summary of NaN: report run": (
        "test: accuracy is nan, which is no score",
        "the report shows what summary.json has",
    ),
    **{
        f"weights/{key}: {what}": (line or DIGITS, why)
        for key in ("teacher", "student")
        for what, line, why in (
            (
                "a checkpoint that runs code",
                "",
                "the weights are whole, and are read without the code",
            ),
            (
                "another network",
                "the prefix 'x.' of its names was removed",
                "the names and shapes behind the prefix are all those of the network",
            ),
            ("half weights", "", "every number has an equal one in float32"),
            ("double weights", "", "the network computes in float32"),
        )
    },
    "set/train.milestones=[1]": (
        "train.milestones is not used: train.schedule is one-cycle, not steps",
        "what the schedule says is done",
    ),
    "set/train={epochs: 1, batch: 32, schedule: steps, milestones: [5]}": (
        "train.milestones [5] are not reached in the 1 epochs",
        "a shorter run of a recipe keeps its milestones",
    ),
    "set/train.warmup=9": (
        "train.warmup of 9 steps does not end within the 5 of the run",
        "a shorter run of a recipe keeps its warmup",
    ),
}
