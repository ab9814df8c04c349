"""A fitted model with its column preparation as one `nn.Module`, and that as an ONNX file."""
