"""States that a caller can set in torch, numpy and the processor, to check that tokens do not depend on them.

:data:`CALLER_STATES` has one of each kind; :func:`read_state` tells whether a call left anything changed.
"""

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

State = Callable[[], AbstractContextManager[object]]

_UPWARD, _TOWARD_ZERO = 0x800, 0xC00  # rounding modes of x86
_PARTS = [("generic", "all"), ("mkldnn", "all"), ("mkldnn", "matmul"), ("mkldnn", "conv"), ("mkldnn", "rnn"),
          ("cuda", "matmul")]  # fmt: skip


def read_state() -> dict[str, Any]:
    """Return everything that :data:`CALLER_STATES` change, and the random states, as values that can be compared.

    Example:
        >>> before = read_state()
        >>> with torch.no_grad():
        ...     [name for name, value in read_state().items() if value != before[name]]
        ['gradients']
    """
    cuda, core = torch.backends.cuda, torch._C
    return {
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"),
                     torch.is_autocast_cache_enabled()),
        "default dtype": torch.get_default_dtype(), "default device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(), "inference mode": torch.is_inference_mode_enabled(),
        "anomaly": torch.is_anomaly_enabled(), "deterministic": torch.get_deterministic_debug_mode(),
        "float32 products": [core._get_fp32_precision_getter(*part) for part in _PARTS] if _has_precisions() else
        torch.get_float32_matmul_precision(),
        "oneDNN": (core._get_mkldnn_enabled(), core._get_mkldnn_deterministic()), "NNPACK": core._get_nnpack_enabled(),
        "opt_einsum": torch.backends.opt_einsum.enabled, "transformers": torch.backends.mha.get_fastpath_enabled(),
        "attention": (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled()),
        "modes": (core._len_torch_function_stack(), core._len_torch_dispatch_stack()),
        "hooks": len(torch_module._global_forward_hooks), "threads": torch.get_num_threads(), "numpy": np.geterr(),
        "processor": _processor(), "random": (hash(torch.get_rng_state().numpy().tobytes()), _numpy_random()),
    }  # fmt: skip


def _has_precisions() -> bool:
    return hasattr(torch._C, "_get_fp32_precision_getter")  # since torch 2.9


def _numpy_random() -> int:
    state: Any = np.random.get_state()
    return hash((state[1].tobytes(), state[2]))


def _processor() -> tuple[float, float]:
    """Return two figures that show whether denormal numbers are flushed, and how the processor rounds."""
    return float(np.float32(1e-40) * np.float32(0.5)), float(
        np.float32(1) / np.float32(3) - np.float32(1) / np.float32(-3)
    )


@contextmanager
def _set(read: Callable[[], Any], write: Callable[[Any], object], value: Any) -> Iterator[None]:
    before = read()
    write(value)
    try:
        yield
    finally:
        write(before)


def _dtype(value: torch.dtype) -> State:
    return lambda: _set(torch.get_default_dtype, torch.set_default_dtype, value)


def _precision(part: tuple[str, str], value: str) -> State:
    core = torch._C
    return lambda: _set(
        lambda: core._get_fp32_precision_getter(*part), lambda one: core._set_fp32_precision_setter(*part, one), value
    )


def _older_precision(value: str) -> State:
    @contextmanager
    def state() -> Iterator[None]:
        own = [torch._C._get_fp32_precision_getter(*part) for part in _PARTS] if _has_precisions() else []
        with _set(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, value):
            yield
        for part, before in zip(_PARTS, own, strict=False):
            torch._C._set_fp32_precision_setter(*part, before)

    return state


@contextmanager
def _hooked() -> Iterator[None]:
    handle = torch_module.register_module_forward_hook(lambda module, inputs, output: _shifted(output))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _rounding(mode: int) -> Iterator[None]:
    library = ctypes.PyDLL(None)
    before = library.fegetround()
    library.fesetround(mode)
    try:
        yield
    finally:
        library.fesetround(before)


@contextmanager
def _flushing() -> Iterator[None]:
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class _FunctionMode(TorchFunctionMode):
    """A mode that falsifies what layers return."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        return _shifted(output) if func in (nn.functional.linear, torch.fft.rfft) else output


class _DispatchMode(TorchDispatchMode):
    """A mode that falsifies what kernels return."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        is_product = func in (torch.ops.aten.addmm.default, torch.ops.aten.mm.default, torch.ops.aten.linear.default)
        return _shifted(output) if is_product else output


def _shifted(output: Any) -> Any:
    is_float = isinstance(output, Tensor) and (output.is_floating_point() or output.is_complex())
    return output * 1.01 if is_float else output


def _states() -> dict[str, State]:
    backends, core = torch.backends, torch._C
    states: dict[str, State] = {
        "autocast to bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
        "autocast to float16 without cache": lambda: torch.autocast("cpu", torch.float16, cache_enabled=False),
        "default dtype float64": _dtype(torch.float64),
        "default dtype float16": _dtype(torch.float16),
        "default dtype bfloat16": _dtype(torch.bfloat16),
        "device meta": lambda: torch.device("meta"),
        "no gradients": torch.no_grad,
        "gradients": torch.enable_grad,
        "inference mode": torch.inference_mode,
        "checks of gradients": lambda: torch.autograd.set_detect_anomaly(True),
        "deterministic algorithms": lambda: _set(
            torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 2
        ),
        "deterministic algorithms, warnings": lambda: _set(
            torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 1
        ),
        "float32 products high": _older_precision("high"),
        "float32 products medium": _older_precision("medium"),
        "no oneDNN": lambda: _set(core._get_mkldnn_enabled, core._set_mkldnn_enabled, False),
        "deterministic oneDNN": lambda: _set(core._get_mkldnn_deterministic, core._set_mkldnn_deterministic, True),
        "no NNPACK": lambda: _set(core._get_nnpack_enabled, core._set_nnpack_enabled, False),
        "no fast path": lambda: _set(backends.mha.get_fastpath_enabled, backends.mha.set_fastpath_enabled, False),
        "no flash attention": lambda: _set(backends.cuda.flash_sdp_enabled, backends.cuda.enable_flash_sdp, False),
        "plain attention": lambda: torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        "denormal numbers flushed": _flushing,
        "function mode": _FunctionMode,
        "dispatch mode": _DispatchMode,
        "hooks on all modules": _hooked,
        "errors of numpy": lambda: np.errstate(all="raise"),
        "two threads": lambda: _set(torch.get_num_threads, torch.set_num_threads, 2),
        "seven threads": lambda: _set(torch.get_num_threads, torch.set_num_threads, 7),
        "forward-mode gradients": torch.autograd.forward_ad.dual_level,
    }
    if _has_precisions():
        for library, part in _PARTS[:5]:
            states[f"bfloat16 for {library} {part}"] = _precision((library, part), "bf16")
    if sys.platform.startswith("linux"):
        states |= {"rounding up": lambda: _rounding(_UPWARD), "rounding to zero": lambda: _rounding(_TOWARD_ZERO)}
    return states


CALLER_STATES = _states()
"""States by name, each a context manager."""


def _freeze(model: nn.Module) -> None:
    model.requires_grad_(False)


def _change_values(model: nn.Module) -> None:
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.01)


def _replace_storage(model: nn.Module) -> None:
    model.load_state_dict({name: value.clone() for name, value in model.state_dict().items()}, assign=True)


def _misalign(model: nn.Module) -> None:
    for weight in model.parameters():
        moved = torch.empty(weight.numel() + 1, dtype=weight.dtype)[1:].view(weight.shape)
        weight.data = moved.copy_(weight.data)


MODEL_CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "frozen": _freeze,
    "in training mode": nn.Module.train,
    "in float16": nn.Module.half,
    "in float64": nn.Module.double,
    "in bfloat16": nn.Module.bfloat16,
    "in bfloat16 and back": lambda model: model.bfloat16().float(),
    "on the device meta": lambda model: model.to("meta"),
    "in shared memory": nn.Module.share_memory,
    "with weights in new memory": _replace_storage,
    "with weights anywhere in memory": _misalign,
    "with other weights": _change_values,
}
"""What a caller does to networks. Afterwards tokens are the same, or a vocable error says what was changed."""


def array_layouts(samples: Float[ndarray, " T"]) -> dict[str, ndarray]:
    """Return the samples as arrays of other layouts in memory.

    Example:
        >>> layouts = array_layouts(np.arange(4, dtype=np.float32))
        >>> all((one == np.arange(4)).all() for one in layouts.values())
        True
    """
    fixed = samples.copy()
    fixed.setflags(write=False)
    shifted = np.frombuffer(b"\0" + samples.tobytes(), dtype=samples.dtype, offset=1)
    return {
        "with negative strides": samples[::-1].copy()[::-1], "with strides": np.repeat(samples, 3)[::3],
        "read-only": fixed, "not aligned": shifted, "in Fortran's order": np.asfortranarray(samples),
        "of the other byte order": samples.astype(samples.dtype.newbyteorder()),
        "in float64": samples.astype(np.float64), "of a subclass": samples.view(np.recarray),
    }  # fmt: skip
