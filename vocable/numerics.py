"""Reference numerics: the state of torch and of the processor in which tokenizers compute, whatever the caller set.

Every public entry of a tokenizer runs under :func:`reference_numerics`, so that a clip has the same tokens in any
process. It sets everything that torch lets a caller set and that can move a bit. Afterwards the caller's state is as it
was, also after an exception, and while a generator is suspended.

* Of the thread: autocast, gradients, inference mode, default device and other modes of functions and dispatch,
  transforms of ``torch.func``, compilation, number of threads, errors of numpy, rounding and denormal numbers.
* Of the process: default dtype, deterministic algorithms, precision of float32 products, oneDNN, NNPACK, opt_einsum,
  attention kernels, the fast path of transformers, hooks on all modules. With CUDA: cuDNN and TensorFloat-32.

While a thread computes, settings of the process have their reference values for all threads. The random state of torch,
numpy and Python is neither used nor moved. Two things cannot be set: variables that libraries read when they load, such
as ``ATEN_CPU_CAPABILITY`` and ``ONEDNN_DEFAULT_FPMATH_MODE``, and kernels replaced through ``torch.library``.
"""

import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
import torch
from torch.nn.modules import module as torch_module
from torch.utils import _python_dispatch

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Item = TypeVar("_Item")

_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")
_EXACT = ("none", "ieee")  # precisions of a product: that of float32 by default, or asked for
_ATTENTION_PRIORITY = [1, 2, 0, 3, 4]  # flash, memory-efficient, math, cuDNN, overrideable: torch's default
_HOOKS = [
    value for name, value in sorted(vars(torch_module).items())
    if name.startswith("_global_") and isinstance(value, dict)
]  # fmt: skip


@contextmanager
def reference_numerics() -> Iterator[None]:
    """Compute in the reference state, without gradients; restore the caller's state at the end. Nesting is free.

    Example:
        >>> with torch.autocast("cpu", torch.bfloat16), reference_numerics():
        ...     torch.is_autocast_enabled("cpu"), (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        (False, torch.float32)
    """
    if _thread.is_reference:
        yield
        return
    _thread.is_reference = True
    _thread.caller = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    try:
        with torch.inference_mode(False), torch.no_grad(), _settled():
            yield
    finally:
        _thread.is_reference = False


def is_reference() -> bool:
    """Return whether this thread computes in the reference state."""
    return _thread.is_reference


@contextmanager
def caller_numerics() -> Iterator[None]:
    """Return to the caller's state inside :func:`reference_numerics`, to run its code; elsewhere do nothing."""
    if not _thread.is_reference:
        yield
        return
    inference, gradients = caller = _thread.caller
    restore = _thread.restore
    restore.close()
    _thread.is_reference = False
    autocast = [False] * len(_AUTOCAST_DEVICES)
    try:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            try:
                yield
            finally:  # inference mode ends with the dispatch keys that it began with, of which autocast is one
                autocast = [torch.is_autocast_enabled(device) for device in _AUTOCAST_DEVICES]
    finally:
        for device, enabled in zip(_AUTOCAST_DEVICES, autocast, strict=True):
            torch.set_autocast_enabled(device, enabled)
        _thread.is_reference, _thread.caller = True, caller
        _enter(restore)


def reproducible(function: _Function, prepare: Callable[[Any, Any], tuple[Any, Any]] | None = None) -> _Function:
    """Decorate a function to run under :func:`reference_numerics`.

    Where it returns a generator, that leaves the state whenever it yields.

    Args:
        function: Function to decorate.
        prepare: Function of its positional and named arguments that is called before, once for each call from
            outside, and returns the arguments to call it with.

    Example:
        >>> @reproducible
        ... def product(matrix):
        ...     return matrix @ matrix
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     product(torch.ones(2, 2)).dtype
        torch.float32
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if _thread.is_reference:
            return function(*args, **kwargs)
        with reference_numerics():
            if prepare is not None:
                args, kwargs = prepare(args, kwargs)
            result = function(*args, **kwargs)
        return _stepwise(result) if isinstance(result, Generator) else result

    return wrapper  # type: ignore[return-value]


def from_caller(items: Iterable[_Item]) -> Iterator[_Item]:
    """Yield the items of the caller's iterable, each made in the caller's state.

    Example:
        >>> with reference_numerics():
        ...     [torch.is_grad_enabled(), *from_caller(torch.is_grad_enabled() for _ in range(1))]
        [False, True]
    """
    with caller_numerics():
        iterator = iter(items)
    while True:
        with caller_numerics():
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def aligned(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor whose memory begins where torch's own does; a kernel's last bit may depend on that.

    Memory of numpy, of a file or of a view may begin anywhere. Such a tensor is copied.

    Example:
        >>> aligned(torch.zeros(9)[1:]).data_ptr() % 64
        0
    """
    return tensor if tensor.data_ptr() % 64 == 0 and tensor.is_contiguous() else tensor.contiguous().clone()


def _stepwise(iterator: Generator[_Item, None, None]) -> Iterator[_Item]:
    try:
        while True:
            with reference_numerics():
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
    finally:
        iterator.close()


class _Thread(threading.local):
    """State of a thread: whether it computes in the reference state, and how to get back to its caller's.

    Attributes:
        is_reference: Whether the reference state is set.
        caller: Whether inference mode and gradients were on before.
        restore: Callbacks that restore the rest.
    """

    is_reference = False
    caller = (False, True)
    restore = ExitStack()


_thread = _Thread()


@contextmanager
def _settled() -> Iterator[None]:
    with ExitStack() as restore:
        _thread.restore = restore
        _enter(restore)
        yield


def _enter(restore: ExitStack) -> None:
    """Set all but inference mode and gradients, and push callbacks that restore what the caller had."""
    _clear_modes(restore)
    for device in _AUTOCAST_DEVICES:
        if torch.is_autocast_enabled(device):
            torch.set_autocast_enabled(device, False)
            restore.callback(torch.set_autocast_enabled, device, True)
    if (threads := torch.get_num_threads()) != 1:  # oneDNN sums in another order for each number of threads
        torch.set_num_threads(1)
        restore.callback(torch.set_num_threads, threads)
    restore.enter_context(np.errstate(all="ignore"))
    _clear_floating_point(restore)
    _process.acquire()
    restore.callback(_process.release)


def _clear_modes(restore: ExitStack) -> None:
    """Take off what intercepts functions of torch: modes, among them the default device, transforms, the compiler."""
    frames = torch._C._dynamo.eval_frame
    if "torch._dynamo" in sys.modules and (callback := frames.get_eval_frame_callback()) is not None:
        frames.set_eval_frame(None)
        restore.callback(frames.set_eval_frame, callback)
    if "torch._functorch.pyfunctorch" in sys.modules and torch._C._functorch.peek_interpreter_stack() is not None:
        restore.enter_context(sys.modules["torch._functorch.pyfunctorch"].temporarily_clear_interpreter_stack())
    for _ in range(torch._C._len_torch_dispatch_stack()):
        restore.callback(_python_dispatch._push_mode, _python_dispatch._pop_mode())
    for _ in range(torch._C._len_torch_function_stack()):
        restore.callback(torch._C._push_on_torch_function_stack, torch._C._pop_torch_function_stack())


def _floating_point_environment() -> ctypes.PyDLL | None:
    """Return C's library with ``fegetenv`` and ``fesetenv``, where the default environment is the pointer -1."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.PyDLL(None)
    if not hasattr(library, "fesetenv"):
        return None
    library.fegetenv.argtypes = library.fesetenv.argtypes = [ctypes.c_void_p]
    return library


_C_LIBRARY = _floating_point_environment()


def _clear_floating_point(restore: ExitStack) -> None:
    """Round to nearest and keep denormal numbers, in this thread."""
    if _C_LIBRARY is not None:
        caller = ctypes.create_string_buffer(64)
        _C_LIBRARY.fegetenv(caller)
        _C_LIBRARY.fesetenv(ctypes.c_void_p(-1))
        restore.callback(_C_LIBRARY.fesetenv, caller)
    elif float(np.float32(1e-40) * np.float32(0.5)) == 0.0:
        torch.set_flush_denormal(False)
        restore.callback(torch.set_flush_denormal, True)


# ---- settings of the process ----------------------------------------------------------------------------------------

_Undo = Callable[[], object]


class _Process:
    """Settings of the process, at their reference values while at least one thread computes.

    Args:
        settings: Functions that set a reference value and return how to undo that, or None if it was set already.
    """

    def __init__(self, settings: list[Callable[[], _Undo | None]]) -> None:
        self._settings, self._lock, self._users = settings, threading.Lock(), 0
        self._undo: list[_Undo] = []

    def acquire(self) -> None:
        """Set the reference values."""
        with self._lock:
            self._undo += [undo for enter in self._settings if (undo := enter()) is not None]
            self._users += 1

    def release(self) -> None:
        """Restore what the caller had when the last thread leaves, unless it was set to something else meanwhile."""
        with self._lock:
            self._users -= 1
            if not self._users:
                self._restore()

    def start_child(self) -> None:
        """Begin anew in a forked process, which has the thread that forked and no other."""
        self._lock, self._users = threading.Lock(), int(_thread.is_reference)
        if not self._users:
            self._restore()

    def _restore(self) -> None:
        while self._undo:
            self._undo.pop()()


def _setting(
    read: Callable[[], Any], write: Callable[[Any], object], reference: Any, *, cuda: bool = False
) -> Callable[[], _Undo | None]:
    """Return the function that sets a setting to its reference value; with ``cuda`` only where CUDA is in use."""

    def enter() -> _Undo | None:
        if cuda and not torch.cuda.is_initialized():
            return None
        value = read()
        if value == reference:
            return None
        write(reference)
        return lambda: write(value) if read() == reference else None

    return enter


def _enter_eager() -> _Undo | None:
    """Run what the caller had compiled as it is written; a compiler may sum in another order."""
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    if dynamo is None or dynamo._stance.stance == "force_eager":
        return None
    before = dynamo._set_stance(dynamo.DynamoStance("force_eager"))
    return lambda: dynamo._set_stance(before)


def _enter_exact_products() -> _Undo | None:
    """Set the precision of float32 products to IEEE's, in every library and under the older name for it.

    A library's parts have the precision of their parents while their own is "none". So each is read and written while
    its parents are "none".
    """
    get, put = torch._C._get_fp32_precision_getter, torch._C._set_fp32_precision_setter
    libraries = ("mkldnn", "cuda") if torch.cuda.is_initialized() else ("mkldnn",)
    parts = [(library, part) for library in libraries for part in ("matmul", "conv", "rnn")]
    if all(get(*part) in _EXACT for part in parts):
        return None
    own: dict[tuple[str, str], str] = {}
    for parent in (("generic", "all"), ("mkldnn", "all"), ("cuda", "all")):
        own[parent] = get(*parent)
        put(*parent, "none")
    own |= {part: get(*part) for part in (*parts, ("cuda", "matmul"))}
    for part in (*parts, ("cuda", "matmul")):
        put(*part, "ieee")
    overall = torch.get_float32_matmul_precision()  # readable now: no library contradicts it
    torch.set_float32_matmul_precision("highest")
    older = _enter_exact_cudnn()

    def undo() -> None:
        older()
        torch.set_float32_matmul_precision(overall)
        for part, value in reversed(own.items()):  # parents last
            if get(*part) != value:
                put(*part, value)

    return undo


def _enter_exact_cudnn() -> _Undo:
    """Forbid TensorFloat-32 in cuDNN under its older name, where CUDA is in use."""
    if not torch.cuda.is_initialized():
        return lambda: None
    allowed = True
    with suppress(RuntimeError):  # the caller mixed both names
        allowed = torch._C._get_cudnn_allow_tf32()
    torch._C._set_cudnn_allow_tf32(False)
    return lambda: torch._C._set_cudnn_allow_tf32(allowed)


def _write_hooks(values: list[list[Any]]) -> None:
    for hooks, items in zip(_HOOKS, values, strict=True):
        hooks.clear()
        hooks.update(items)


def _settings() -> list[Callable[[], _Undo | None]]:
    """Return the settings of the process."""
    backends, core = torch.backends, torch._C
    settings = [
        _enter_eager,
        _setting(torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        _setting(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 0),
        _setting(core._get_mkldnn_enabled, core._set_mkldnn_enabled, True),
        _setting(core._get_mkldnn_deterministic, core._set_mkldnn_deterministic, False),
        _setting(core._get_nnpack_enabled, core._set_nnpack_enabled, True),
        _setting(
            lambda: backends.opt_einsum.enabled, lambda value: setattr(backends.opt_einsum, "enabled", value), False
        ),
        _setting(backends.mha.get_fastpath_enabled, backends.mha.set_fastpath_enabled, True),
        _setting(backends.cuda.flash_sdp_enabled, backends.cuda.enable_flash_sdp, True),
        _setting(backends.cuda.mem_efficient_sdp_enabled, backends.cuda.enable_mem_efficient_sdp, True),
        _setting(backends.cuda.math_sdp_enabled, backends.cuda.enable_math_sdp, True),
        _setting(lambda: [list(hooks.items()) for hooks in _HOOKS], _write_hooks, [[] for _ in _HOOKS]),
        _setting(backends.cuda.cudnn_sdp_enabled, backends.cuda.enable_cudnn_sdp, True, cuda=True),
        _setting(core._get_sdp_priority_order, core._set_sdp_priority_order, _ATTENTION_PRIORITY, cuda=True),
        _setting(core._get_cudnn_enabled, core._set_cudnn_enabled, True, cuda=True),
        _setting(core._get_cudnn_benchmark, core._set_cudnn_benchmark, False, cuda=True),
        _setting(core._get_cudnn_deterministic, core._set_cudnn_deterministic, True, cuda=True),
    ]
    if hasattr(core, "_get_fp32_precision_getter"):  # since torch 2.9
        return [*settings, _enter_exact_products]
    return [
        *settings,
        _setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
        _setting(core._get_cudnn_allow_tf32, core._set_cudnn_allow_tf32, False, cuda=True),
    ]


_process = _Process(_settings())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.start_child)
