"""Torch modules with the parameters of a stack: outputs, and gradients by autograd.

A member's parameters are views into the flat buffer of its stack, so that the optimizer is
the same as for dense networks. A single network is the module itself, with these views as
parameters and their gradients as `.grad`: autograd writes where the optimizer reads. Several
are one batched call with `torch.func` (`functional_call` under `vmap`).
"""

import contextlib

import torch

from .interface import NetworkGradient
from .torch_modules import build, in_shape, split, temporary_random_state


class BoundModule:
    """Module whose parameters are those of a stack.

    Parameters
    ----------
    architecture : TorchArchitecture
    parameters : StackedParameters
    gradients : StackedParameters or None, default=None
        Where to write the gradients of a single network.
    training : bool, default=False
        Mode of the module.
    """

    def __init__(self, architecture, parameters, gradients=None, training=False):
        self.architecture = architecture
        self.parameters = parameters
        device, dtype = parameters.flat.device, parameters.flat.dtype
        self.module = build(architecture).to(device=device, dtype=dtype).train(training)
        weights, biases, buffers = split(self.module)
        self.names = [*weights, *biases]
        self.buffer_names = list(buffers)
        self.tensors = parameters.weights + parameters.biases
        self.is_single = parameters.n_members == 1
        if self.is_single:
            derived = None if gradients is None else gradients.weights + gradients.biases
            for k, own in enumerate([*weights.values(), *biases.values()]):
                own.data = self.tensors[k][0]
                own.grad = None if derived is None else derived[k][0]
            for name, buffer in zip(buffers, parameters.buffers, strict=True):
                self._set_buffer(name, buffer[0])

    def _set_buffer(self, name, value):
        path, _, leaf = name.rpartition(".")
        self.module.get_submodule(path)._buffers[leaf] = value

    def copy_replaced_buffers(self):
        """Copy buffers that the module has replaced instead of overwritten."""
        if not self.is_single:
            return
        buffers = dict(self.module.named_buffers())
        for name, stacked in zip(self.buffer_names, self.parameters.buffers, strict=True):
            if buffers[name].data_ptr() != stacked.data_ptr():
                stacked[0].copy_(buffers[name])
                self._set_buffer(name, stacked[0])

    def __call__(self, x, masks=None, sizes=None, tensors=None):
        """Compute the outputs.

        Parameters
        ----------
        x : tensor of shape (n_batches, n_rows, n_features)
        masks : list of tensors of shape (n_members, n_rows, width) or None
        sizes : list of int or None
            Number of consecutive members that share each batch; None is one each.
        tensors : list of tensors or None
            For several members, replace their parameters.

        Returns
        -------
        tensor of shape (n_members, n_rows, n_outputs)
        """
        n_outputs = self.architecture.n_outputs
        shaped = x.view(*x.shape[:2], *self.architecture.input_shape)
        if self.is_single:
            given = {"masks": [mask[0] for mask in masks]} if masks else {}
            return in_shape(self.module(shaped[0], **given), self.module, n_outputs)[None]
        if sizes is not None and len(sizes) != self.parameters.n_members:
            of_member = [b for b, n in enumerate(sizes) for _ in range(n)]
            if len(sizes) == 1:
                shaped = shaped.expand(self.parameters.n_members, *shaped.shape[1:])
            else:
                shaped = shaped[of_member]
        parameters = dict(
            zip(self.names, self.tensors if tensors is None else tensors, strict=True)
        )
        buffers = dict(zip(self.buffer_names, self.parameters.buffers, strict=True))

        def compute(own, buffers, rows, masks):
            given = {"masks": masks} if masks else {}
            out = torch.func.functional_call(self.module, (own, buffers), (rows,), given)
            return in_shape(out, self.module, n_outputs)

        return torch.vmap(compute, in_dims=(0, 0, 0, None if masks is None else 0))(
            parameters, buffers, shaped, masks
        )


class ModuleGradient(NetworkGradient):
    """Gradient of any module by autograd.

    Parameters
    ----------
    architecture : TorchArchitecture
    parameters, gradients : StackedParameters
    sizes : list of int or None, default=None
        Number of consecutive members that share each batch; None is one each.
    randoms : list, default=()
        One object with a `module_state` per member; a module that draws random numbers trains
        alone.
    """

    def __init__(self, architecture, parameters, gradients, sizes=None, randoms=()):
        self.architecture = architecture
        self.gradients = gradients
        self.sizes = sizes
        self.randoms = randoms
        self.bound = BoundModule(architecture, parameters, gradients, training=True)

    def __call__(self, x, masks, outputs, differentiate):
        """Write outputs and gradients: see `NetworkGradient`."""
        bound, random_state = self.bound, contextlib.nullcontext()
        if self.architecture.draws:
            # For the backward pass, too: it may recompute, or draw.
            random_state = temporary_random_state(
                self.randoms[0].module_state, self.gradients.flat.device
            )
        with torch.enable_grad(), random_state:
            if bound.is_single:
                self.gradients.flat.zero_()
                out = bound(x, masks)
                outputs.copy_(out.detach())
                out.backward(differentiate(outputs).to(out.dtype))
                bound.copy_replaced_buffers()
                return
            leaves = [t.detach().requires_grad_() for t in bound.tensors]
            out = bound(x, masks, self.sizes, leaves)
            outputs.copy_(out.detach())
            derived = torch.autograd.grad(out, leaves, differentiate(outputs).to(out.dtype))
        for gradient, value in zip(self.gradients.tensors, derived, strict=True):
            gradient.copy_(value)

    def clear(self, x):
        """Do nothing: each step overwrites all gradients."""
