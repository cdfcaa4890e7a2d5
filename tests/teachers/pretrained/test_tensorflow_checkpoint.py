"""The checkpoint reader against files written here by the format's description."""

import numpy as np
import pytest

from mentee.errors import MenteeError
from mentee.teachers.pretrained.tensorflow_checkpoint import read_tensorflow_checkpoint

TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}


def varint(n):
    return bytes([n]) if n < 128 else bytes([n % 128 + 128]) + varint(n // 128)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries, every):
    """Keys without what they share with the last one, written in full every so often."""
    out, last, restarts = b"", b"", []
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % every == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        last = key
    ends = b"".join(n.to_bytes(4, "little") for n in [*restarts, len(restarts)])
    return out + ends


def write(folder, tensors, *, per_block=3, every=2, compressed=0):
    data, entries = b"", [(b"", field(1, 1))]
    for name in sorted(tensors):
        value = tensors[name]
        shape = b"".join(field(2, field(1, n)) for n in value.shape)
        parts = [field(1, TYPES[value.dtype.name]), field(2, shape), field(5, value.nbytes)]
        parts += [field(4, len(data))] if data else []
        parts += [varint(6 << 3 | 5) + b"crc!"]
        entries.append((name.encode(), b"".join(parts)))
        data += value.tobytes()
    table, index = b"", []
    for at in range(0, len(entries), per_block):
        content = block(entries[at : at + per_block], every)
        index.append((entries[at][0] + b"~", varint(len(table)) + varint(len(content))))
        table += content + bytes([compressed]) + b"crc!"
    content = block(index, 1)
    handles = varint(0) + varint(0) + varint(len(table)) + varint(len(content))
    table += content + b"\0crc!" + handles.ljust(40, b"\0")
    table += (0xDB4775248B80FB57).to_bytes(8, "little")
    (folder / "net.index").write_bytes(table)
    (folder / "net.data-00000-of-00001").write_bytes(data)
    return folder / "net.index"


@pytest.fixture
def tensors():
    draw = np.random.default_rng(0)
    return {
        "conv/kernel": draw.normal(size=(3, 2, 4)).astype("f4"),
        "conv/bias": draw.normal(size=300).astype("f8"),
        "step": np.array(70000, "i8"),
        "conv_1/kernel": draw.integers(9, size=(2, 2)).astype("i4"),
        "norm/gamma": np.ones(1, "f4"),
    }


@pytest.mark.parametrize(("per_block", "every"), [(1, 1), (3, 2), (9, 16)])
def test_every_tensor_comes_back(tmp_path, tensors, per_block, every):
    read = read_tensorflow_checkpoint(write(tmp_path, tensors, per_block=per_block, every=every))
    assert set(read) == set(tensors)
    for name, value in tensors.items():
        assert read[name].dtype == value.dtype
        np.testing.assert_array_equal(read[name], value)


def test_what_is_cut_off_or_of_another_kind_is_refused(tmp_path, tensors):
    with pytest.raises(MenteeError, match=r"blocks are compressed"):
        read_tensorflow_checkpoint(write(tmp_path, tensors, compressed=1))
    index = write(tmp_path, tensors)
    data = index.with_name("net.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(MenteeError, match="the data end inside step"):
        read_tensorflow_checkpoint(index)
    data.unlink()
    with pytest.raises(MenteeError, match=r"there is no file .*data-00000-of-00001"):
        read_tensorflow_checkpoint(index)
    index.write_bytes(index.read_bytes()[:-3])
    data.write_bytes(b"")
    with pytest.raises(MenteeError, match="does not end as an index does"):
        read_tensorflow_checkpoint(index)
