"""A record of other examples is refused with what differs; ids decide."""

import re
import unicodedata

import numpy as np
import pytest

from mentee.data import open_arrays
from mentee.errors import DataError
from mentee.recording.embedders import record_examples
from mentee.records import import_record
from mentee.records.joined import open_record_of
from mentee.records.matching import order_examples
from tests.records.jobs import Fake, expected, images


@pytest.fixture
def made(tmp_path):
    return record_examples(Fake(), images(6), tmp_path / "r")


def refused(made, examples, text):
    with pytest.raises(DataError, match=r"the record .*r does not fit .*record this one with") as e:
        made.check(examples)
    assert re.search(text, str(e.value)), str(e.value)


def test_the_same_examples_fit_whatever_their_labels(made):
    made.check(images(6))
    pixels = images(6).read(np.arange(6)).numpy()
    labeled = {"image": pixels, "id": images(6).ids, "label": [0, 1, 0, 1, 1, 0]}
    made.check(open_arrays(labeled, name="labeled"))


def test_examples_without_a_row(made):
    refused(made, images(8), r"2 of 8 examples have no row: 'pictures/6.png', 'pictures/7.png'\.")


def test_rows_without_an_example_are_refused_where_no_digest_tells_of_the_others(made):
    made.check(images(6).take([0, 1]))
    few = r"4 of its 6 rows are of no example: 'pictures/2.png', '\S+', '\S+' and 1 more\."
    del made.manifest.data["contents"]  # of a record that was written before
    refused(made, images(6).take([0, 1]), few)


def test_both_at_once(made):
    refused(made, images(6, name="x"), r"6 of 6 examples have no row.*6 of its 6 rows are of no")


def test_another_order_fits_since_ids_decide(made):
    turned = images(6).take([5, 1, 3, 2, 4, 0])
    made.check(turned)
    np.testing.assert_allclose(made.of(turned.keys), expected(turned), rtol=2e-3)


def test_contents_that_changed_places_under_the_same_ids(made):
    turned = images(6).take([0, 1, 3, 2, 4, 5])
    pixels = turned.read(np.arange(6)).numpy()
    swapped = open_arrays({"image": pixels, "id": list(images(6).ids)}, name="pictures")
    refused(made, swapped, r"the ids are the same and the contents differ")


def test_other_contents(made):
    refused(made, images(6, seed=1), r"the ids are the same and the contents differ")


def test_another_kind(made):
    words = open_arrays({"text": list("abcdef"), "id": list(images(6).ids)}, name="words")
    refused(made, words, r"it is of image, the examples are text")


def test_ids_decide_and_the_new_ones_come_in_the_order_of_the_data():
    data = {"fingerprint": images(3).fingerprint(labels=False)}
    turned = images(6).take([5, 1, 4, 0, 2, 3])
    ordered = order_examples(images(3).ids, data, turned, turned)
    assert ordered.examples.ids == tuple(f"pictures/{i}.png" for i in (0, 1, 2, 5, 4, 3))
    assert (ordered.recorded, ordered.new, ordered.data["rows"]) == (3, 3, 6)
    assert [part["rows"] for part in ordered.data["parts"]] == [3, 3]


NFC = [unicodedata.normalize("NFC", text) for text in ("Żółć/é", "ü", "a", "Ω", "å")]
NFD = [unicodedata.normalize("NFD", text) for text in NFC]


@pytest.mark.parametrize(("first", "second"), [(NFC, NFD), (NFD, NFC)], ids=["to NFD", "to NFC"])
def test_ids_in_another_unicode_form_are_the_same(tmp_path, first, second):
    assert first != second
    there, here = images(5, ids=first), images(5, ids=second)
    made = record_examples(Fake(), there, tmp_path / "r")
    made.check(here)
    made.check(here.take([3, 0]))
    np.testing.assert_allclose(made.of(here.keys), expected(here), rtol=2e-3)
    more = record_examples(Fake(), images(7, ids=[*second, "x", "y"]), tmp_path / "r", extend=True)
    assert len(more) == 7
    assert len(open_record_of(tmp_path / "r", "train", here.take([1]))) == 7
    np.savez(tmp_path / "v.npz", embedding=expected(there), ids=first)
    vectors = import_record(
        tmp_path / "v.npz", here.take([4, 1, 0]), tmp_path / "s", name="x", extra=True
    )
    np.testing.assert_allclose(vectors.vectors(range(3)), expected(here)[[4, 1, 0]], rtol=1e-6)
