"""What a network of a given scale is.

- `architecture`: shapes and counts of networks, plain Python.
- `dense`: its forward pass for one network and for a stack, and the plain `nn.Module`.
- `convolutional`: networks for images, as an nn.Module.
- `modules`: any nn.Module, alone and as members of a stack.
- `decoding`: what becomes of the outputs of a plain module.
- `dense_gradient`: its gradient, written out as batched products.
- `sparse`: batches of sparse rows as the operand of its first layer.
- `parameters`: the parameters of a stack in one flat buffer.
"""
