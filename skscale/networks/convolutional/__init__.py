"""Convolutional networks for images, as an nn.Module.

- `architecture`: the shape, without torch.
- `torch_network`: the module.
- `unit_removal`: channels inside the blocks: activations, gradients and removal.
- `reshaping`: another number of blocks or channels.
- `onnx`: the network as ONNX operators.
- `family`: the interface to these parts.
"""
