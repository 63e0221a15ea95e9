"""Networks as full-INT8 .tflite, and the interpreter that scores them."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from export.scales import HeardRange, TrainedRanges

CALIBRATION_CLIPS = 128
# Standard output is the process's: of two threads that turn it away and back, one would leave it turned away.
_SILENCE = threading.RLock()


def float_tflite(network: nn.Module, input_shape: tuple[int, int, int]) -> bytes:
    """A float .tflite of a network that takes [batch, 1, frames, mels]; the file takes [1, frames, mels, 1].

    `input_shape` is (1, frames, mels). The network itself is left as it was.
    """
    import litert_torch
    import torch

    channels, frames, mels = input_shape
    with quiet():
        last = litert_torch.to_channel_last_io(_frozen(network), args=[0]).eval()
    return converted(last, (torch.zeros(1, frames, mels, channels),))


def converted(network: nn.Module, example: tuple[Tensor, ...]) -> bytes:
    """A float .tflite of a network with the inputs of `example`, in their order and shapes."""
    import litert_torch

    with quiet():
        return bytes(litert_torch.convert(_frozen(network), example).model_content())


def _frozen(network: nn.Module) -> nn.Module:
    import torch

    return copy.deepcopy(network).to("cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload, no-any-return]


def int8_tflite(
    float_model: bytes, calibration: NDArray[np.float32], trained: TrainedRanges | HeardRange | None = None
) -> bytes:
    """Full INT8 (weights per channel, activations, input and output) from calibration clips [n, frames, mels, 1].

    By ai-edge-quantizer: ranges are the extremes that the clips produce, but for tensors with a `trained` one.
    """
    ranges = calibrated(float_model, [(clip[None],) for clip in calibration])
    return quantized(float_model, ranges if trained is None else trained.put_into(ranges, float_model))


def calibrated(float_model: bytes, samples: Sequence[tuple[NDArray[np.float32], ...]]) -> dict[str, dict[str, Any]]:
    """`min` and `max` of every tensor by its name, over samples of all inputs in their order."""
    from ai_edge_quantizer import calibrator, recipe, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    with quiet():
        rules = recipe_manager.RecipeManager()
        rules.load_quantization_recipe(recipe.static_wi8_ai8())
        # The library's own calibrate() keeps moving averages of each clip's extremes, which cut off the louder half of
        # the clips and shrink a student's logits by a fifth; true extremes cut off none.
        extremes = calibrator.Calibrator(float_model, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
        name, arguments = signature(float_model)
        fed = [dict(zip(arguments, sample, strict=True)) for sample in samples]
        extremes.calibrate({name: fed}, rules)
        return dict(extremes.get_model_qsvs())


def quantized(float_model: bytes, ranges: dict[str, dict[str, Any]]) -> bytes:
    """Full INT8 of a float .tflite with these ranges of its tensors."""
    from ai_edge_quantizer import quantizer, recipe

    from export.flatbuffer import for_microcontrollers

    with quiet():
        quantize = quantizer.Quantizer(bytearray(float_model), recipe.static_wi8_ai8())
        result = quantize.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return for_microcontrollers(result.quantized_model)


def signature(model: bytes) -> tuple[str, list[str]]:
    """Name of a converted model's signature, and its arguments in their order."""
    from ai_edge_litert.interpreter import Interpreter

    name, tensors = next(iter(Interpreter(model_content=model).get_signature_list().items()))
    return name, sorted(tensors["inputs"], key=lambda argument: int(argument.removeprefix("args_")))


def host_interpreter(model: bytes, keep_all: bool = False) -> Any:
    """LiteRT on its built-in kernels, nothing allocated; `keep_all` leaves every tensor readable after an Invoke."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with quiet():
        return Interpreter(
            model_content=model,
            num_threads=1,
            experimental_preserve_all_tensors=keep_all,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )


class Clips(Protocol):
    """Features [n, frames, mels], in memory or copied there as they are sliced."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]: ...


@final
class Int8Model:
    """A full-INT8 .tflite under LiteRT: float features in, float outputs through the model's own quantization.

    Without the XNNPACK delegate, whose rounding moves outputs by up to nine steps: the built-in kernels stay within one
    step of the TFLM interpreter and are fifteen times as fast. Clips go through in batches where the model lets them,
    and batches through one interpreter per thread: LiteRT's own threads share one batch, at a quarter more work.
    """

    def __init__(self, model: bytes, batch: int = 64, threads: int = 1) -> None:
        self._batch = 1 if fixes_its_batch(model) else batch
        self._interpreters = [self._allocated(host_interpreter(model)) for _ in range(threads)]
        self._input = self._interpreters[0].get_input_details()[0]
        self._output = self._interpreters[0].get_output_details()[0]
        for side, tensor in (("input", self._input), ("output", self._output)):
            if tensor["dtype"] is not np.int8:
                raise ValueError(f"model: its {side} is {tensor['dtype'].__name__}, but full INT8 needs int8")

    def quantized(self, features: NDArray[np.float32]) -> NDArray[np.int8]:
        """Features [n, frames, mels] or [n, frames, mels, 1] as the int8 codes that the device would feed."""
        scale, zero = self._input["quantization"]
        codes: NDArray[np.int8] = np.clip(np.round(features / scale) + zero, -128, 127).astype(np.int8)
        return codes.reshape(-1, *map(int, self._input["shape"][1:]))

    def _allocated(self, interpreter: Any) -> Any:
        tensor = interpreter.get_input_details()[0]
        with quiet():
            interpreter.resize_tensor_input(tensor["index"], [self._batch, *tensor["shape"][1:]])
            interpreter.allocate_tensors()
        return interpreter

    def codes(self, features: Clips) -> NDArray[np.int8]:
        """Raw int8 outputs [n, outputs]."""
        return np.concatenate(in_batches(self._interpreters, self._invoke, features, self._batch))

    def outputs(self, features: Clips) -> NDArray[np.float32]:
        """Dequantized outputs [n, outputs]."""
        return self.dequantized(self.codes(features))

    def dequantized(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """Raw outputs as the numbers that they stand for."""
        scale, zero = self._output["quantization"]
        values: NDArray[np.float32] = (codes.astype(np.float32) - zero) * np.float32(scale)
        return values

    def _invoke(self, interpreter: Any, features: NDArray[np.float32]) -> NDArray[np.int8]:
        codes = padded(self.quantized(features), self._batch)
        interpreter.set_tensor(self._input["index"], codes)
        interpreter.invoke()
        result: NDArray[np.int8] = interpreter.get_tensor(self._output["index"]).reshape(len(codes), -1)
        return result[: len(features)].copy()


def in_batches(
    runners: Sequence[Any],
    run: Callable[[Any, NDArray[np.float32]], NDArray[np.int8]],
    clips: Clips,
    batch: int,
) -> list[NDArray[np.int8]]:
    """What `run(runner, batch of clips)` gives for one batch after another, by as many threads as there are runners."""
    parts = [slice(at, at + batch) for at in range(0, len(clips), batch)]
    if len(runners) == 1:
        return [run(runners[0], clips[part]) for part in parts]
    free: SimpleQueue[Any] = SimpleQueue()
    for runner in runners:
        free.put(runner)

    def run_one(part: slice) -> NDArray[np.int8]:
        runner = free.get()
        try:
            return run(runner, clips[part])
        finally:
            free.put(runner)

    with ThreadPoolExecutor(len(runners)) as pool:
        return list(pool.map(run_one, parts))


def padded(codes: NDArray[np.int8], batch: int) -> NDArray[np.int8]:
    """Codes [n, ...] with zeros behind them, up to a whole batch."""
    if len(codes) == batch:
        return codes
    return np.concatenate([codes, np.zeros((batch - len(codes), *codes.shape[1:]), np.int8)])


def fixes_its_batch(model: bytes) -> bool:
    """Whether the converter wrote the batch of 1 into a shape."""
    from export.operators import read_model

    return any(operator.kind in ("RESHAPE", "SLICE") for operator in read_model(model).main.operators)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the converter's banners, progress bars and deprecation notices off the user's terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _SILENCE:
        yield from _silenced()


def _silenced() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), Path(os.devnull).open("w") as sink, contextlib.redirect_stdout(sink):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stderr(sink):
                yield
    finally:
        logging.disable(before)
