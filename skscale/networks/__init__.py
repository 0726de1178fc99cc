"""Networks of a given scale: shapes, weights and forward passes, one folder a family.

- `interface`: the abstract classes of an architecture and of a family.
- `dense`, `convolutional`, `module`: the families, with files of equal names.
- `torch_architecture`, `torch_family`: the part common to families of torch modules;
  `torch_modules`: their weights and outputs; `torch_stack`: their stacks; `torch_forward`:
  their prediction.
- `activations`: activation functions.
- `weights`: weights of a network or of a stack, as NumPy arrays; `parameters`: parameters of a
  stack in one flat torch buffer.
- `unit_selection`: selection of hidden units, and copies of units.
- `namespace`: array functions of NumPy and of other namespaces.
- `sparse`: batches of sparse rows.
- `decoding`: predictions from the outputs of a plain module.
- `constants`: constants of the function of a network.
- `device`: the torch device of a `device` hyperparameter; `surroundings`: independence of
  torch's settings around a call.

`interface`, `torch_architecture`, `torch_family`, `torch_forward`, `weights`, `namespace`,
`unit_selection`, `dense.forward`, and the files `architecture` and `family` of each family
import no torch.
"""
