"""A record compared with another teacher, layer or view than it is of: one sentence."""

import pytest

from mentee.errors import DataError
from mentee.recording.embedders import record
from mentee.recording.verify import compare, verify
from mentee.records import write_record
from mentee.records.columns import with_components
from tests.records.jobs import CELLS, LOGITS, MEAN, Fake, images, network_job

DATA = {"train": images(10)}


@pytest.mark.parametrize(
    ("frames", "teacher", "message"),
    [
        pytest.param(False, Fake(width=7), r"embedding \[5\] there, embedding \[7\]", id="width"),
        pytest.param(True, Fake(width=7), r"frames \[3, 5\] there, frames \[3, 7\]", id="frames"),
        pytest.param(False, Fake(contract={"layer": "s2"}), r"contract: .*powers.*s2", id="layer"),
    ],
)  # fmt: skip
def test_another_layer_of_an_embedder(tmp_path, frames, teacher, message):
    record(DATA, Fake(), tmp_path / "r", frames=frames, say=str)
    assert min(verify(tmp_path / "r", DATA, teacher=Fake()).cosine.values()) > 0.9999
    with pytest.raises(DataError, match=rf"r/train cannot be compared, .*{message}.*Name the rec"):
        verify(tmp_path / "r", DATA, teacher=teacher)


WIDER = MEAN.model_copy(update={"shape": (5,)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"columns": (CELLS,)},
            r"it has stages\.0 \| mean, logits, and stages\.0 \| 2x2 cells \[12\] is read here",
            id="another reduction",
        ),
        pytest.param(
            {"columns": (WIDER, LOGITS)},
            r"it has .*, and stages\.0 \| mean \[5\] is read here",
            id="another width",
        ),
        pytest.param(
            {"columns": with_components([MEAN, LOGITS], {MEAN.name: 2})},
            r"stages\.0 \| mean: all numbers there, 2 principal components here",
            id="components",
        ),
        pytest.param(
            {"views": {"views": "crop", "pad": 2, "view_seed": 3}}, r"views: .*", id="views"
        ),
    ],
)
def test_another_layer_of_a_network(tmp_path, change, message):
    made = write_record(tmp_path / "r", network_job(13))
    assert min(compare(made, network_job(13), 8).cosine.values()) > 0.9999
    with pytest.raises(DataError, match=rf"r cannot be compared, .*{message}"):
        compare(made, network_job(13, **change), 8)
