"""A JSON file that knows when it was changed: any byte of it."""

import json

import pytest

from mentee.records.signed import check, read_signed, write_signed

CONTENT = {"format": 1, "name": "résumé", "rows": [1, 2.5, None], "deep": {"a": True}}


def test_what_is_written_is_read(tmp_path):
    write_signed(tmp_path / "a.json", CONTENT)
    said = read_signed(tmp_path / "a.json")
    assert check(tmp_path / "a.json", said) == CONTENT
    assert json.loads((tmp_path / "a.json").read_text())["name"] == "résumé"


def test_every_changed_byte_is_found(tmp_path):
    path = tmp_path / "a.json"
    write_signed(path, CONTENT)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r".+"):
            check(path, read_signed(path))


def test_what_is_no_object_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ValueError, match="no JSON object"):
        read_signed(tmp_path / "a.json")
