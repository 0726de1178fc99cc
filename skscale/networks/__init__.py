"""Networks of a given scale: shapes, weights and forward passes.

- `architecture`: shapes, parameter counts and multiply-accumulates of each family.
- `weights`: weights of a network or of a stack, as NumPy arrays; `parameters`: parameters of a
  stack in one flat torch buffer.
- `dense_forward`: prediction of dense networks, for NumPy arrays and tensors; `namespace`: the
  array functions that it uses.
- `dense`: training forward pass of a stack, and the plain `nn.Module`; `dense_gradient`: its
  explicit gradient; `sparse`: batches of sparse rows.
- `convolutional`: networks for images, as an `nn.Module`.
- `modules`: any `nn.Module`, alone and in a stack; `module_forward`: its prediction.
- `decoding`: predictions from the outputs of a plain module.
- `device`: the torch device of a `device` hyperparameter.

`architecture`, `weights`, `namespace`, `dense_forward` and `module_forward` import no torch.
"""
