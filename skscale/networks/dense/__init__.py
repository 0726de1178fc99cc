"""Dense networks: multilayer perceptrons, alone and in a stack.

- `architecture`: the shape, without torch.
- `forward`: prediction, for NumPy arrays and tensors, without torch.
- `torch_network`: the forward pass of a stack in training, and the plain nn.Module.
- `backward`: its explicit gradient.
- `unit_removal`: hidden units: activations, gradients and removal.
- `reshaping`: another depth or other widths.
- `onnx`: the network as ONNX operators.
- `family`: the interface to these parts.
"""
