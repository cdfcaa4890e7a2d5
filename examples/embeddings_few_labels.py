"""A file of embeddings and few labels: a small student learns from both.

Shows how vectors of another network become a record, and what they are worth beside 100 labels.
Here the vectors are those of a network without labels (an RBM) on scikit-learn's digits; your file
has an array `embedding` [n, d] and an array `ids` [n]. `open_examples(source).ids` lists the ids.

Expected output, in half a minute on one core (the two test accuracies vary by the machine; these
vectors are a stand-in, and often worth nothing):

    none         90.3 %
    to-teacher   90.8 %
"""

from pathlib import Path

import numpy as np
from sklearn.neural_network import BernoulliRBM

import mentee
from mentee.api import import_vectors
from mentee.data import open_examples

SOURCE = "embedded:digits"  # or a folder of images, of sound files, of tables of texts


def write_vectors(path: Path) -> None:
    """Stand in for your file of vectors."""
    digits = open_examples(SOURCE)
    pixels = digits.read(np.arange(len(digits))).reshape(len(digits), -1).numpy() / 255
    vectors = BernoulliRBM(n_components=64, random_state=0).fit_transform(pixels)
    np.savez(path, ids=digits.ids, embedding=vectors)


def main() -> None:
    """Import the vectors, then train the same student without and with them."""
    write_vectors(Path("vectors.npz"))
    import_vectors("vectors.npz", SOURCE, "records/vectors")
    recipe = {
        "data": {"source": SOURCE, "limit": 100, "views": "crop", "pad": 1},
        "student": "resnet8-cifar",
        "teacher": {"record": "records/vectors", "clean": True},  # one vector for every view
        "train": {"epochs": 20, "batch": 20},
    }
    for method in ("none", "to-teacher"):
        run = mentee.train({**recipe, "method": method}, out=f"runs/{method}", quiet=True)
        print(f"{method:12} {100 * run.summary['test']['accuracy']:.1f} %")


if __name__ == "__main__":
    main()
