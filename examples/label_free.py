"""Train a student without labels, then see what its embedding is worth with few labels.

Shows `data.label: false`, early stopping by nearest neighbors (`monitor`), and a linear probe with
1 %, 10 % and all of the labels. Here the teacher is trained on the same digits
with labels; a network of any other task works too.

Expected output, in half a minute on one core (accuracies vary by the machine):

    linear probe, 1% of the labels:     untrained 45.6 %, student 61.0 %
    linear probe, 10% of the labels:    untrained 79.2 %, student 86.9 %
    linear probe, 100% of the labels:   untrained 90.4 %, student 95.0 %
"""

import mentee

DATA = {"source": "embedded:digits", "views": "crop", "pad": 1}
SHARES = (0.01, 0.1, 1.0)


def main() -> None:
    """Train the teacher, train the student without labels, fit probes."""
    teacher = {"data": DATA, "student": "resnet20-cifar", "train": {"epochs": 3}}
    mentee.train(teacher, out="runs/teacher", quiet=True)
    recipe = {
        "data": {**DATA, "label": False},  # no label of any split is read
        "student": "resnet8-cifar",
        "teacher": {
            "network": "resnet20-cifar",
            "weights": "runs/teacher/student.safetensors",
            "classes": 10,  # of the teacher; without labels nothing else tells
        },
        "method": "to-teacher",
        "train": {"epochs": 5},
        "monitor": {"limit": 200},  # 200 labeled examples choose the epoch, and train nothing
        "select": {"patience": 4, "cooldown": 0.2},
        "probe": {"shares": list(SHARES), "seeds": 2, "ways": ["linear"]},
    }
    run = mentee.train(recipe, out="runs/student", quiet=True)
    result = mentee.probe(run.path, say=lambda line: None)
    for share in SHARES:
        untrained, student = (
            100 * sum(scores) / len(scores)
            for who in ("untrained", "student")
            for scores in [result.scores("linear", share=share, who=who)]
        )
        name = f"linear probe, {share:.0%} of the labels:"
        print(f"{name:36}untrained {untrained:.1f} %, student {student:.1f} %")


if __name__ == "__main__":
    main()
