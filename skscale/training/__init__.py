"""Training engine: `train(tasks) -> networks`.

An estimator's `fit` describes its training as a `Task`; `train` groups tasks of equal
shape into stacks and trains each stack by batched products.

- `checkpoints`: disk cache of trained networks and training checkpoints; `fingerprint`: hashes
  of arrays, objects and user code, for the cache keys.
- `engine`: training of stacks, one thread each.
- `plan`: assignment of tasks to stacks.
- `task`: description of a training, and its result.
- `stack`: members that train together, from the first epoch to the last.
- `feed`: rows of the members of a stack, shared if they are the same.
- `chunk`: a few consecutive steps: their rows on the device, their gradient, their update.
- `program`: repetition of a step without Python.
- `stacking_speed`: measurement of whether modules train faster in a stack.
- `augmentation`: random changes of images.
- `gradient`: loss and gradient of a step.
- `losses`: losses and their gradients.
- `schedules`: learning-rate schedules.
- `optimizers`: AdamW and SGD; `stacked_optimizer`: one of them over a stack, with a proximal
  L1 step.
- `dropout`: dropout masks of a stack.
- `random`: random numbers of one fit.
- `data`: arrays as tensors on the device.
- `out_of_memory`: recognition of a lack of memory.
- `early_stopping`: early stopping of a member, and its best epoch.
- `threads`: number of threads worth using for a step.
- `quiet`: time measurement while nothing trains.
- `skorch_surface`: the skorch net of a fitted network, and fits with skorch callbacks.

This package imports torch; `task`, `losses`, `schedules`, `optimizers`, `random` and `quiet` do
not, until they compute.
"""
