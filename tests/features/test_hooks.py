"""Reading while running: values, in-layer writes, leaks, reuse, compiled and wrapped networks."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mentee.errors import LayerError
from mentee.features import Capture, Layer, resolve

from .networks import TIMM, Declared, Undeclared, from_timm

NAMES = ["stem", "stages", "embedding", "logits"]


@pytest.fixture
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def images(examples: int = 2) -> Tensor:
    return torch.randn(examples, 3, 16, 16)


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=1e-4, atol=1e-4)


def test_other_batches_than_the_example() -> None:
    network = Undeclared()
    layers = resolve(network, NAMES, images())
    with Capture(network, layers) as capture:
        features = capture.capture(images(5))
    assert {len(tensor) for tensor in features.values()} == {5}
    assert list(features) == [layer.name for layer in layers]


@pytest.mark.parametrize("path", ["norm", "body.0.0.bn1", "body.0.0.conv2", "body.1.0.short"])
def test_tensors_are_as_they_were_when_read(path: str) -> None:
    """Batch norm's output and the residual sum are written over by what follows."""
    network, inputs = Undeclared(), images()
    (layer,) = resolve(network, [path], inputs)
    assert layer.overwritten == (path != "body.1.0.short")
    outputs: list[Tensor] = []
    module = network.get_submodule(path)
    spy = module.register_forward_hook(lambda module, args, output: outputs.append(output.clone()))
    with Capture(network, [layer]) as capture:
        read = capture.capture(inputs)[path]
    spy.remove()
    assert torch.equal(read, outputs[0])


def test_dropout_in_place_counts_although_eval_mode_does_not_show_it() -> None:
    network = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5, inplace=True), nn.Linear(8, 3))
    inputs = torch.randn(4, 6)
    layers = resolve(network, ["0", "1", "embedding"], inputs)
    assert [layer.overwritten for layer in layers] == [True, False, False]
    with Capture(network.train(), layers) as capture:
        features = capture.capture(inputs)
    torch.testing.assert_close(features["0"], network[0](inputs))
    assert torch.equal(features["1"], features["embedding"])


def test_a_module_called_twice_is_read_at_its_last_call() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.mix(self.mix(x).tanh())

    network, inputs = Twice(), torch.randn(2, 4)
    layers = resolve(network, ["mix", "mix:in"], inputs)
    with Capture(network, layers) as capture:
        features = capture.capture(inputs)
    torch.testing.assert_close(features["mix:in"], network.mix(inputs).tanh())
    torch.testing.assert_close(features["mix"], network(inputs))


def test_gradients_where_enabled() -> None:
    network, inputs = Undeclared(), images()
    with Capture(network, resolve(network, NAMES, inputs)) as capture:
        features = capture.capture(inputs)
        assert all(tensor.requires_grad for tensor in features.values())
        sum(tensor.sum() for tensor in features.values()).backward()
        with torch.no_grad():
            assert not any(tensor.requires_grad for tensor in capture.capture(inputs).values())
    assert network.entry.weight.grad.abs().sum() > 0


def test_nothing_is_held_between_calls() -> None:
    network, inputs = Undeclared(), images()
    with Capture(network, resolve(network, NAMES, inputs)) as capture:
        features = capture.capture(inputs)
        watched = [weakref.ref(tensor) for tensor in features.values()]
        del features
        assert [ref() for ref in watched] == [None] * len(watched)
        spied: list[weakref.ref[Tensor]] = []
        spy = network.body[0].register_forward_hook(
            lambda module, args, output: spied.append(weakref.ref(output))
        )
        with torch.no_grad():
            network(inputs)
        spy.remove()
        assert spied[0]() is None


def test_nothing_is_held_after_an_error() -> None:
    network, inputs = Undeclared(), images()
    spied: list[weakref.ref[Tensor]] = []
    with Capture(network, resolve(network, ["stages"], inputs)) as capture:
        network.body[0].register_forward_hook(
            lambda module, args, output: spied.append(weakref.ref(output))
        )
        network.out.register_forward_pre_hook(lambda module, args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            capture.capture(inputs)
        gc.collect()
        assert spied[0]() is None


def test_two_captures_are_independent() -> None:
    network, inputs = Undeclared().eval(), images()
    first = Capture(network, resolve(network, ["stages"], inputs))
    second = Capture(network, resolve(network, ["stages.1", "logits"], inputs))
    before = first.capture(inputs)
    assert list(second.capture(inputs)) == ["stages.1", "logits"]
    second.close()
    assert_same(first.capture(inputs), before)
    first.close()
    assert not any(module._forward_hooks for module in network.modules())


def test_closed_captures_say_so() -> None:
    network, inputs = Undeclared(), images()
    capture = Capture(network, resolve(network, ["stages.0"], inputs))
    capture.close()
    capture.close()
    with pytest.raises(LayerError, match=r"'stages.0' .*this capture is closed"):
        capture.capture(inputs)


def test_another_network() -> None:
    network, other, inputs = Undeclared(), Undeclared(), images()
    capture = Capture(network, resolve(network, ["stages"], inputs))
    with capture, pytest.raises(LayerError, match="what was run does not call this network"):
        capture.run(other, inputs)
    with pytest.raises(LayerError, match=r"module 'layer1'.*Undeclared does not have"):
        Capture(network, [Layer("stages.0", "layer1", "output", (8, 4, 4), "map")])


# Type checks at test time break the graph inside the hooks, and torch's own filter of this warning
# does not hold where warnings are errors.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize("network_class", [Undeclared, Declared])
def test_compiled(network_class: type[Undeclared]) -> None:
    network, inputs = network_class().eval(), images()
    with Capture(network, resolve(network, [*NAMES, "body.0.0.bn1"], inputs)) as capture:
        plain = capture.capture(inputs)
        compiled = torch.compile(network, backend="aot_eager")
        with torch.no_grad():
            torch.testing.assert_close(compiled(inputs), plain["logits"])
        assert_same(capture.run(compiled, inputs), plain)
        assert_same(capture.run(compiled, inputs), plain)
        assert_same(capture.capture(inputs), plain)
        capture.run(compiled, inputs)["stages.1"].sum().backward()
    assert network.entry.weight.grad.abs().sum() > 0


class Chain(nn.Module):
    """Equal blocks whose graph breaks, so that they share compiled code."""

    class Link(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            torch._dynamo.graph_break()
            return self.mix(x).tanh()

    def __init__(self) -> None:
        super().__init__()
        self.links = nn.ModuleList(self.Link() for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for link in self.links:
            x = link(x)
        return x


@pytest.mark.usefixtures("_fresh_compiler")
def test_equal_blocks_with_broken_graphs() -> None:
    network, inputs = Chain(), torch.randn(2, 4)
    layers = resolve(network, ["links.0", "links.2.mix"], inputs)
    with torch.no_grad(), Capture(network, layers) as capture:
        plain = capture.capture(inputs)
        assert_same(capture.run(torch.compile(network, backend="eager"), inputs), plain)


@pytest.mark.usefixtures("_fresh_compiler")
def test_capture_after_the_compiled_network_has_run() -> None:
    network, inputs = Undeclared().eval(), images()
    layers = resolve(network, ["stages"], inputs)
    compiled = torch.compile(network, backend="eager")
    compiled(inputs)
    late = Capture(network, layers)
    with late, pytest.raises(LayerError, match=r"'stages.0' .*build the Capture first, then torch"):
        late.run(compiled, inputs)
    with pytest.raises(LayerError, match="got a compiled Undeclared"):
        resolve(compiled, ["stages"], inputs)


def check_compiled_timm(name: str, backend: str) -> None:
    network, inputs = from_timm(name)
    with torch.no_grad(), Capture(network, resolve(network, NAMES, inputs)) as capture:
        plain = capture.capture(inputs)
        compiled = torch.compile(network, backend=backend)
        assert_same(capture.run(compiled, inputs), plain)


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_compiled_timm(name: str) -> None:
    pytest.importorskip("timm")
    check_compiled_timm(name, "eager")


@pytest.mark.slow
@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize("name", TIMM)
def test_compiled_all_of_timm(name: str) -> None:
    pytest.importorskip("timm")
    check_compiled_timm(name, "eager")


ONE_GRAPH = """
import torch
from torch import nn
from mentee.features import Capture, resolve

network, inputs = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), torch.randn(2, 4)
capture = Capture(network, resolve(network, ["0", "embedding", "logits"], inputs))
compiled = torch.compile(network, backend="eager", fullgraph=True)
for inputs in (inputs, torch.randn(2, 4)):
    for name, tensor in capture.run(compiled, inputs).items():
        torch.testing.assert_close(tensor, capture.capture(inputs)[name])
print("one graph")
"""


@pytest.mark.slow
def test_hooks_do_not_break_the_graph() -> None:
    """In an interpreter of its own: the type checks of the tests would break it."""
    run = subprocess.run([sys.executable, "-c", ONE_GRAPH], capture_output=True, text=True)
    assert run.stdout == "one graph\n", run.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("_fresh_compiler")
def test_compiled_by_inductor() -> None:
    network, inputs = Undeclared().eval(), images()
    with torch.no_grad(), Capture(network, resolve(network, NAMES, inputs)) as capture:
        plain = capture.capture(inputs)
        assert_same(capture.run(torch.compile(network), inputs), plain)


def test_distributed_wrapper(tmp_path: Path) -> None:
    network, inputs = Undeclared().eval(), images()
    with Capture(network, resolve(network, NAMES, inputs)) as capture:
        plain = capture.capture(inputs)
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
        )
        try:
            wrapped = nn.parallel.DistributedDataParallel(network)
            features = capture.run(wrapped, inputs)
            assert_same(features, plain)
            features["stages.1"].sum().backward()
        finally:
            torch.distributed.destroy_process_group()
    assert network.entry.weight.grad.abs().sum() > 0
