"""Clips of one length, whose examples stay the same."""

import numpy as np
import pytest

from mentee.data import open_examples
from mentee.data.examples import with_seconds
from mentee.errors import DataError

CLIPS = [np.arange(1, 5, dtype=np.float32) / 8, np.arange(1, 9, dtype=np.float32) / 16]


def test_a_clip_is_cut_or_followed_by_silence():
    whole = open_examples({"audio": CLIPS, "sample_rate": 1000}, sample_rate=1000)
    cut = with_seconds(whole, 0.006)
    first, second = cut.read(np.array([0, 1]))
    assert first.tolist() == [0.125, 0.25, 0.375, 0.5, 0, 0]
    assert second.tolist() == [0.0625, 0.125, 0.1875, 0.25, 0.3125, 0.375]
    assert cut.fingerprint() == whole.fingerprint()
    assert cut.ids == whole.ids


def test_only_clips_have_seconds():
    with pytest.raises(DataError, match="image, which has no seconds to cut at"):
        with_seconds(open_examples("embedded:digits"), 1.0)
    with pytest.raises(DataError, match="have no sample at 1000 a second"):
        with_seconds(open_examples({"audio": CLIPS, "sample_rate": 1000}, sample_rate=1000), 0.0001)
