"""The Triton kernel: in its interpreter, compiled for two GPUs, and on a GPU where there is one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mentee.losses import fused
from mentee.losses.fused import row_kernels
from mentee.losses.negatives import Draw
from tests.losses.row_kernel_cases import error, negatives, values

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="needs Triton, which this torch has not"
)
NAMES = ("info_nce", "decoupled", "sigmoid_contrast", "contrast")


def test_the_kernel_equals_float64_in_the_interpreter() -> None:
    command = [sys.executable, "-m", "tests.losses.row_kernel_cases"]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    errors = json.loads(done.stdout)
    assert len(errors) == 4 * 3 * 4 + 1
    for name, each in errors.items():
        assert each < 2e-6, name


@pytest.mark.parametrize(
    ("capability", "rows", "softmax"),
    [(80, "fp32", False), (90, "bf16", True), (80, "fp16", True)],
)
def test_it_compiles_without_spilling(
    capability: int, rows: str, softmax: bool, tmp_path: Path
) -> None:
    """Shared memory within what every GPU since sm_80 has, tensor cores, and no local memory."""
    import triton
    import triton.backends.nvidia as nvidia
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from mentee.losses import row_kernels as kernels

    pointers = {"bank": f"*{rows}", **dict.fromkeys(("drawn", "groups", "own_groups"), "*i64")}
    sizes = dict.fromkeys(("b", "m", "d", "stride", "part"), "i32")
    numbers = dict.fromkeys(("shift", "cap", "lowest"), "fp32")
    names = kernels._sums.arg_names
    fixed = dict(zip(("tile_anchors", "tile_rows", "width"), kernels.tile_sizes(128), strict=True))
    fixed |= {"is_softmax": softmax, "is_drawn": True, "is_grouped": True}
    fixed |= {"keeps_dtype": rows == "bf16", "precision": "tf32"}
    kinds = pointers | sizes | numbers | dict.fromkeys(fixed, "constexpr")
    source = ASTSource(
        fn=kernels._sums,
        signature={name: kinds.get(name, "*fp32") for name in names},
        constexprs={(names.index(name),): value for name, value in fixed.items()},
        attrs={
            (at,): [["tt.divisibility", 16]]  # as torch's tensors have it
            for at, name in enumerate(names)
            if name not in ("b", "m", *numbers, *fixed)
        },
    )
    target = GPUTarget("cuda", capability, 32)
    compiled = triton.compile(source, target=target, options={"num_warps": 8, "num_stages": 2})
    assert compiled.metadata.shared <= 99 * 1024
    assert "mma" in compiled.asm["ptx"]
    (tmp_path / "cubin").write_bytes(compiled.asm["cubin"])
    tool = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
    command = [tool, "-res-usage", tmp_path / "cubin"]
    usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "STACK:0 " in usage, usage


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("rows", ["all", "drawn", "grouped"])
@pytest.mark.parametrize(
    ("dtype", "precision"),
    [
        (torch.float32, "highest"),
        (torch.float32, "high"),
        (torch.bfloat16, "high"),
        (torch.float16, "high"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_on_a_gpu_it_equals_the_cpu(
    name: str, dtype: torch.dtype, precision: str, rows: str, matmul_precision: None
) -> None:
    torch.set_float32_matmul_precision(precision)
    there, here = (negatives(64, 5000, 128, rows, dtype, device) for device in ("cuda", "cpu"))
    assert row_kernels(there.positives[0], there.banks[1], there.draw) is not None
    found = values(name, there, there.positives[1].roll(1, 0), there.positives[0])
    expected = values(name, here, here.positives[1].roll(1, 0), here.positives[0])
    assert error([each.cpu() for each in found], expected) < (
        1e-5 if precision == "highest" else 1e-2
    )


@pytest.fixture
def matmul_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One of sm_80 is pretended, whose memory is the host's."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    fused.runs_on.cache_clear()
    yield
    fused.runs_on.cache_clear()


def test_an_old_gpu_has_torchs_path(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert not fused.runs_on(torch.device("cpu"))


def test_without_a_compiler_a_warning_says_that_torch_computes(
    gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Failed to find C compiler.")

    from mentee.losses import row_kernels as kernels

    monkeypatch.setattr(kernels, "_launch", fail)
    with pytest.warns(UserWarning, match=r"does not start on cpu .*C compiler.*torch's path"):
        assert not fused.runs_on(torch.device("cpu"))
    assert not fused.runs_on(torch.device("cpu"))  # nor is it tried again


def test_elsewhere_torch_computes(monkeypatch: pytest.MonkeyPatch, matmul_precision: None) -> None:
    """On a CPU, of another dtype, of longer rows, and of other rows for each anchor."""
    monkeypatch.setattr(fused, "runs_on", lambda _: True)
    draw = Draw(None, torch.ones(2), None, None, 3, 1.0)
    others = Draw(torch.zeros(2, 3, dtype=torch.long), torch.ones(2), None, None, 3, 1.0)
    bank, anchors = torch.ones(3, 4), AnchorsOnGpu(torch.float32)
    assert row_kernels(torch.ones(2, 4), bank, draw) is None
    assert row_kernels(AnchorsOnGpu(torch.float64), bank, draw) is None
    assert row_kernels(anchors, torch.ones(3, 1024), draw) is None
    assert row_kernels(anchors, bank, others) is None
    assert row_kernels(anchors, bank, draw) is not None
    torch.set_float32_matmul_precision("high")
    assert row_kernels(anchors, bank.half(), draw) is not None
    torch.set_float32_matmul_precision("highest")
    assert row_kernels(anchors, bank.half(), draw) is None


class AnchorsOnGpu(torch.Tensor):
    """Says so, on the CPU."""

    device = torch.device("cuda")  # type: ignore[assignment]

    def __new__(cls, dtype: torch.dtype) -> AnchorsOnGpu:
        return torch.ones(2, 4, dtype=dtype).as_subclass(cls)
