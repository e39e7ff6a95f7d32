"""Networks in other runtimes: calls exported as ONNX files, answered by onnxruntime, built into TensorRT engines."""
