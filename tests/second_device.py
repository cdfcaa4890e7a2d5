"""A second device on the CPU, which notes wherever the host would wait for it.

Its tensors are tensors of the CPU behind a device of their own, `second:0`, which torch takes for
an accelerator: what is on the CPU has to be moved to it, and the two cannot be mixed. Registering
it changes the process for good, so it is used in one of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration

import mentee

NAME = "second"
SOURCE = str(Path(mentee.__file__).parent) + "/"
READS = {
    "_local_scalar_dense",  # item, float(), bool()
    "nonzero",
    "masked_select",
    "equal",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "bincount",
    "repeat_interleave",
}
"""Operations whose result, or its size, the host has to know."""
INDEXING = {"index", "index_put_", "index_put", "_index_put_impl_"}

waits: list[str] = []
"""Where the host waited for the device, in order: `operation at file:line`."""
_library = torch.library.Library("_", "IMPL")


class OnDevice(torch.Tensor):
    """A tensor of the second device; `raw` is the tensor behind it."""

    raw: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw: Tensor) -> OnDevice:
        made: OnDevice = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=torch.device(NAME, 0),
        )
        made.raw = raw
        return made

    def __repr__(self) -> str:
        return f"OnDevice({self.raw!r})"

    def new_tensor(self, data: Any, **options: Any) -> Tensor:
        """Numbers of the host, as a tensor here: torch makes it behind the dispatcher's back."""
        return torch.tensor(data, **{"dtype": self.dtype, "device": self.device} | options)

    def tolist(self) -> Any:
        """The numbers; torch refuses it of a subclass."""
        _wait("tolist")
        return self.raw.tolist()

    def untyped_storage(self) -> torch.UntypedStorage:
        """Of the tensor behind it, which tells what shares memory."""
        return self.raw.untyped_storage()

    @classmethod
    def __torch_dispatch__(cls, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        target = options.get("device")
        here = target is None or torch.device(target).type == NAME
        _note(call._schema.name.removeprefix("aten::"), args, options, here)
        if target is not None:
            options["device"] = torch.device("cpu")
        given = dict[int, OnDevice]()
        result = call(
            *(_raw(each, given) for each in args),
            **{name: _raw(each, given) for name, each in options.items()},
        )
        return _wrapped(result, given) if here else result


def _raw(value: Any, given: dict[int, OnDevice]) -> Any:
    """What an operation of the CPU gets; `given` remembers whose tensor it is."""
    if isinstance(value, OnDevice):
        given[id(value.raw)] = value
        return value.raw
    return [_raw(each, given) for each in value] if isinstance(value, (list, tuple)) else value


def _wrapped(value: Any, given: Mapping[int, OnDevice]) -> Any:
    """What an operation returns: of what was changed in place, the tensor that was given."""
    if isinstance(value, Tensor):
        return given[id(value)] if id(value) in given else OnDevice(value)
    if isinstance(value, (list, tuple)):
        return type(value)([_wrapped(each, given) for each in value])
    return value


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for each in values:
            yield from _tensors(each)


def _note(name: str, args: Any, options: Mapping[str, Any], here: bool) -> None:
    """Write down an operation that the host waits for; refuse one over both devices."""
    if name in READS:
        _wait(name)
    elif name == "_to_copy":
        if not here:
            _wait("copy to the host")
        elif not isinstance(args[0], OnDevice) and not options.get("non_blocking"):
            _wait("blocking copy to the device")
    elif name == "copy_":
        blocking = not (args[2] if len(args) > 2 else options.get("non_blocking", False))
        if not isinstance(args[0], OnDevice):
            _wait("copy to the host")
        elif not isinstance(args[1], OnDevice) and args[1].ndim and blocking:
            _wait("blocking copy to the device")
    elif name in INDEXING:
        for index in (each for each in args[1] if each is not None):
            if index.dtype == torch.bool:
                _wait("index by a mask")
            elif not isinstance(index, OnDevice):
                _wait("index from the host")
    else:
        tensors = list(_tensors([*args, *options.values()]))
        others = [x for x in tensors if x.ndim and not isinstance(x, OnDevice)]
        if others and any(isinstance(x, OnDevice) for x in tensors):
            raise RuntimeError(f"{name} of tensors on {NAME} and on the CPU, at {_place()}")


def _wait(what: str) -> None:
    waits.append(f"{what} at {_place()}")


def _place() -> str:
    """The innermost line of the package that is being run."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith(SOURCE):
            return f"{frame.f_code.co_filename.removeprefix(SOURCE)}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"


class _Module:
    """What torch asks of a device's module."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        values = {"device_count": 1, "current_device": 0, "is_available": True}
        values |= {"is_initialized": True, "_is_in_bad_fork": False, "manual_seed_all": None}
        values |= {"get_amp_supported_dtype": [torch.bfloat16, torch.float16]}
        if name not in values:
            raise AttributeError(name)
        return lambda *args: values[name]


def _tensor(data: Any, *, device: Any = None, plain: Any = torch.tensor, **options: Any) -> Tensor:
    made: Tensor = plain(data, **options)
    return made if device is None else made.to(device)


def register() -> torch.device:
    """Make the device known to torch; once in a process, for good, before any backward pass."""
    torch.tensor = _tensor
    torch.__future__.set_swap_module_params_on_conversion(True)  # else `raw` stays as it was
    backend_registration._setup_privateuseone_for_python_backend(NAME, _Module())
    _library.fallback(
        lambda call, *args, **options: OnDevice.__torch_dispatch__(call, (), args, options),
        "PrivateUse1",
    )
    _library.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    return torch.device(NAME, 0)
