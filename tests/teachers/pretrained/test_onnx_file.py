"""ONNX files through onnxruntime: images, audio of free and of fixed length."""

import pytest
import torch

from mentee import free_memory
from mentee.errors import MenteeError
from mentee.teachers.pretrained import find_embedder, onnx_file

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def saved(path, shape, *, axes, outputs=1):
    """y = the mean and the maximum of x over some axes."""
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    axis = make.make_tensor("axes", onnx.TensorProto.INT64, [len(axes)], axes)
    names = ("mean", "largest")[:outputs]
    nodes = [
        make.make_node(op, ["x", "axes"], [name], keepdims=int(len(shape) == 2))
        for op, name in zip(("ReduceMean", "ReduceMax"), names, strict=False)
    ]
    graph = make.make_graph(
        nodes,
        "net",
        [make.make_tensor_value_info("x", kind, shape)],
        [make.make_tensor_value_info(name, kind, None) for name in names],
        [axis],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return f"onnx:{path}"


def test_images_are_normalized(tmp_path):
    name = saved(tmp_path / "a.onnx", ["b", 3, "h", "w"], axes=[2, 3])
    it = find_embedder(name, mean=[0.5, 0.0, 0.0], std=[0.5, 1.0, 1.0])
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(2, 6, 6, 3)
    torch.testing.assert_close(it.pooled(pixels), torch.tensor([[-1.0, 0.2, 1.0]] * 2))
    assert (it.kind, it.width, it.sample_rate) == ("image", 3, None)


@pytest.mark.parametrize("batch", ["b", 1])
def test_clips_of_any_length(tmp_path, batch):
    it = find_embedder(saved(tmp_path / "a.onnx", [batch, "s"], axes=[1]), sample_rate=8000)
    clips = [torch.ones(3), torch.arange(5.0), torch.full((3,), 4.0)]
    assert it.pooled(clips).tolist() == [[1.0], [2.0], [4.0]]


def test_windows_where_the_file_fixes_the_length(tmp_path):
    it = find_embedder(saved(tmp_path / "a.onnx", ["b", 4], axes=[1]), sample_rate=8000)
    clips = [torch.ones(2), torch.tensor([1.0, 1, 1, 1, 3, 3])]
    assert it.pooled(clips).tolist() == [[0.5], [(1 + 1.5) / 2]]
    assert it.contract["window"] == 4


def test_the_fingerprint_is_of_the_file(tmp_path):
    one = find_embedder(saved(tmp_path / "a.onnx", ["b", 4], axes=[1]), sample_rate=8000)
    two = find_embedder(saved(tmp_path / "b.onnx", ["b", 5], axes=[1]), sample_rate=8000)
    assert one.fingerprint() != two.fingerprint()


def test_what_does_not_fit_is_refused(tmp_path):
    two = saved(tmp_path / "a.onnx", ["b", "s"], axes=[1], outputs=2)
    with pytest.raises(MenteeError, match="has the outputs mean, largest: say which"):
        find_embedder(two, sample_rate=8000)
    with pytest.raises(MenteeError, match="no output 'means'; did you mean 'mean'"):
        find_embedder(two, sample_rate=8000, output="means")
    with pytest.raises(MenteeError, match="say how many samples a second it wants, sample_rate="):
        find_embedder(two, output="largest")
    with pytest.raises(MenteeError, match="expected one float input"):
        find_embedder(saved(tmp_path / "b.onnx", ["b", 2, "s"], axes=[1]), sample_rate=8000)
    with pytest.raises(MenteeError, match=r"there is no file nowhere.onnx"):
        find_embedder("onnx:nowhere.onnx")
    (tmp_path / "c.onnx").write_bytes(b"nothing")
    with pytest.raises(MenteeError, match="onnxruntime cannot read"):
        find_embedder(f"onnx:{tmp_path / 'c.onnx'}")


def of_nodes(path, nodes, *, shape, initializers=()):
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        nodes,
        "net",
        [make.make_tensor_value_info("x", kind, shape)],
        [make.make_tensor_value_info("y", kind, None)],
        list(initializers),
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return f"onnx:{path}"


def test_a_graph_that_never_ends_is_stopped(tmp_path, monkeypatch):
    make, proto = onnx.helper, onnx.TensorProto
    body = make.make_graph(
        [
            make.make_node("Identity", ["go"], ["goes_on"]),
            make.make_node("Add", ["state", "state"], ["next"]),
        ],
        "body",
        [
            make.make_tensor_value_info("i", proto.INT64, []),
            make.make_tensor_value_info("go", proto.BOOL, []),
            make.make_tensor_value_info("state", proto.FLOAT, None),
        ],
        [
            make.make_tensor_value_info("goes_on", proto.BOOL, []),
            make.make_tensor_value_info("next", proto.FLOAT, None),
        ],
    )
    name = of_nodes(
        tmp_path / "loop.onnx",
        [make.make_node("Loop", ["most", "first", "x"], ["y"], body=body)],
        shape=["b", 4],
        initializers=[
            make.make_tensor("most", proto.INT64, [], [2**62]),
            make.make_tensor("first", proto.BOOL, [], [True]),
        ],
    )
    monkeypatch.setattr(onnx_file, "LONGEST", 0.3)
    with pytest.raises(MenteeError, match=r"loop\.onnx did not end within 0\.3 seconds"):
        find_embedder(name, sample_rate=8000)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ([1, 3, 10**6, 10**6], {}, r"needs 12,000\.0 GB of memory and 1\.0 GB are free"),
        ([1, 10**12], {"sample_rate": 8000}, r"needs 4,000\.0 GB of memory"),
        ([1, 3, 0, 0], {}, "expected lengths ≥ 1"),
    ],
)
def test_inputs_that_no_memory_holds_are_refused(tmp_path, monkeypatch, shape, options, message):
    monkeypatch.setattr(free_memory, "available", lambda: 10**9)
    name = saved(tmp_path / "a.onnx", shape, axes=[len(shape) - 1])
    with pytest.raises(MenteeError, match=message):
        find_embedder(name, **options)


def test_a_graph_that_fails_on_an_example_is_one_sentence(tmp_path):
    node = onnx.helper.make_node("MatMul", ["x", "x"], ["y"])
    name = of_nodes(tmp_path / "a.onnx", [node], shape=["b", "s"])
    with pytest.raises(MenteeError, match=r"a\.onnx cannot be run: "):
        find_embedder(name, sample_rate=8000)
