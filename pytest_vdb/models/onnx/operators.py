"""Translations of torch operators where those of onnxscript (0.7) give a file that onnxruntime does not run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def corrections() -> dict[Any, Callable[..., Any]]:
    """For the exporter's `custom_translation_table`."""
    import torch

    aten = torch.ops.aten
    return {
        aten.squeeze.dim: _squeeze,
        aten.masked_fill.Scalar: _masked_fill,
        aten.masked_fill.Tensor: _masked_fill,
    }


def _squeeze(self: Any, dim: int) -> Any:
    """To squeeze a dimension that is not 1 leaves a torch tensor as it is, and is an error in ONNX."""
    from onnxscript import opset18

    if len(self.shape) == 0 or self.shape[dim] != 1:
        return opset18.Identity(self)
    return opset18.Squeeze(self, opset18.Constant(value_ints=[dim]))


def _masked_fill(self: Any, mask: Any, value: Any) -> Any:
    """onnxruntime has no `Where` between truth values: it is made between integers."""
    from onnx import TensorProto
    from onnxscript import opset18

    if int(self.dtype) != TensorProto.BOOL:
        return opset18.Where(mask, opset18.CastLike(value, self), self)
    whole = opset18.Cast(self, to=TensorProto.INT32)
    return opset18.Cast(opset18.Where(mask, opset18.CastLike(value, whole), whole), to=TensorProto.BOOL)
