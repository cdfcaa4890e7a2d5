"""Your folder of images and your timm checkpoint: a small student as one plain weights file.

    python timm_teacher.py                                  makes small stand-ins for both first
    python timm_teacher.py --images photos --weights resnet50.pth --teacher timm:resnet50 \
        --student timm:mobilenetv3_small_100 --size 224 --epochs 100

The folder has one folder per split, and in it one per class: photos/train/cat/1.jpg. The checkpoint
is a state dict of the teacher, by torch.save or safetensors. torchvision:NAME works too.

Expected output, in about a minute (accuracies vary by the machine):

    teacher: 373,173 parameters, 93.3 % right
    student: 77,717 parameters, 90.0 % right
    weights: runs/student/student.safetensors
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits

import mentee


def write_images(folder: Path) -> None:
    """Stand in for your images: digits as PNG files of 32 x 32 pixels."""
    digits = load_digits(n_class=5)
    for number, (pixels, label) in enumerate(zip(digits.images[:400], digits.target, strict=False)):
        path = folder / ("test" if number % 4 == 0 else "train") / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15).astype(np.uint8)).convert("RGB").resize((32, 32)).save(path)


def write_checkpoint(path: Path, data: dict, network: str) -> None:
    """Stand in for your checkpoint: a few epochs of the teacher, saved by torch."""
    recipe = {"data": data, "student": {"network": network, "input": "imagenet"}}
    recipe["train"] = {"epochs": 8, "batch": 30}
    run = mentee.train(recipe, out="runs/teacher", quiet=True)
    torch.save(load_file(run.path / "student.safetensors"), path)


def main() -> None:
    """Train the student with the teacher's soft targets."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=Path, default=Path("images"))
    parser.add_argument("--weights", type=Path, default=Path("teacher.pth"))
    parser.add_argument("--teacher", default="timm:test_resnet")
    parser.add_argument("--student", default="resnet8-cifar")
    parser.add_argument("--size", type=int, default=32)  # side of the input, in pixels
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    views = "random-resized-crop" if options.size > 64 else "crop"
    data = {"source": str(options.images), "size": options.size, "views": views}
    if not options.images.exists():
        write_images(options.images)
    if not options.weights.exists():
        write_checkpoint(options.weights, data, options.teacher)
    recipe = {
        **{"data": data, "student": options.student, "method": "kd"},
        "teacher": {
            "network": options.teacher,
            "weights": str(options.weights),
            "input": "imagenet",  # mean and deviation in its training; timm:NAME looks them up
        },
        "train": {"epochs": options.epochs, "batch": 30},
    }
    summary = mentee.train(recipe, out="runs/student", quiet=True).summary
    sizes, validation, test = (summary[key] for key in ("parameters", "teacher", "test"))
    for name, score in (("teacher", validation["scores"]), ("student", test)):
        print(f"{name}: {sizes[name]:,} parameters, {100 * score['accuracy']:.1f} % right")
    print("weights: runs/student/student.safetensors")


if __name__ == "__main__":
    main()
