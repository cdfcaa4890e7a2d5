"""Which method helps on your data: several methods, several seeds, one verdict for each.

Shows `mentee.compare`: the student from scratch is always in it, all methods of a seed share data
order and initial weights, the teacher runs once, and the difference has an interval and a verdict.

Expected output at the end, in about a minute (numbers vary by the machine; with so few epochs no
method has time to help, and the verdict says so):

    none    79.9 %  scratch
    crd     79.1 %  INCONCLUSIVE  -0.8 points, 95 % interval -5.2 to +3.6
    kd      79.6 %  INCONCLUSIVE  -0.3 points, 95 % interval -4.7 to +4.0
    see runs/compare/compare.html
"""

import mentee

DATA = {"source": "embedded:digits", "views": "crop", "pad": 1}


def main() -> None:
    """Train a teacher, then compare three ways to train a student on 100 labels."""
    teacher = {"data": DATA, "student": "resnet20-cifar", "train": {"epochs": 5}}
    mentee.train(teacher, out="runs/teacher", quiet=True)
    recipe = {
        "data": {**DATA, "limit": 100},
        "student": "resnet8-cifar",
        "teacher": {"network": "resnet20-cifar", "weights": "runs/teacher/student.safetensors"},
        "train": {"epochs": 20, "batch": 50},
    }
    result = mentee.compare(
        recipe, ["kd", "crd"], seeds=3, views=4, processes=1, out="runs/compare"
    )
    for row in result.rows:
        difference = row["to_scratch"]
        line = f"{row['method']:7} {100 * row['test']['mean']:.1f} %  {row['verdict'] or 'scratch'}"
        if difference:
            mean, low, high = (100 * difference[key] for key in ("difference", "low", "high"))
            line += f"  {mean:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"
        print(line)
    print("see runs/compare/compare.html")


if __name__ == "__main__":  # the runs are processes, which import this file
    main()
