"""ONNX files -> TensorRT engines. UNVERIFIED: written from TensorRT's documented Python API and never run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pytest_vdb import files
from pytest_vdb.errors import LibraryMissing, VdbError

WARNING = "TensorRT export is unverified: engines are neither run nor compared with torch"


def require_tensorrt() -> None:
    """Check that TensorRT is here.

    Raises:
        LibraryMissing: it is not installed.
    """
    if importlib.util.find_spec("tensorrt") is None:
        raise LibraryMissing(
            "TensorRT is not installed",
            where="--to tensorrt",
            mend="install NVIDIA's tensorrt package on a machine with an NVIDIA GPU, or use --to onnx; " + WARNING,
        )


def build(onnx_file: Path, engine: Path) -> None:
    """Build an engine for the GPU of this machine.

    Args:
        onnx_file: what `graphs` wrote; weights beside it are found there.
        engine: where the serialised engine goes.

    Raises:
        VdbError: TensorRT cannot read or build it, or the disk does not take it.
    """
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx_file)):
        said = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise VdbError(f"TensorRT cannot read it: {said}", where=onnx_file)
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    if plan is None:
        raise VdbError("TensorRT built no engine; its own message is above", where=onnx_file)
    files.write_by(engine, lambda part: part.write_bytes(plan))
