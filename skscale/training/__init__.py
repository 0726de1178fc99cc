"""The training engine: `train(tasks) -> networks`.

An estimator's `fit` describes its training as a `Task`; `train` groups tasks of equal
shape into stacks and trains each stack by batched products.

- `keeping`: networks and unfinished trainings kept on disk; `code`: what functions and classes
  of the user's own compute, for their keys.
- `engine`: trains stacks, a thread each.
- `plan`: which tasks train in one stack.
- `task`: what is to be trained, and what came of it.
- `stack`: members that train together, from the first epoch to the last.
- `feed`: the rows that members of a stack see, shared where they are the same.
- `chunk`: a few consecutive steps: their rows on the device, their gradient, their update.
- `program`: a step repeated without Python.
- `families`: what the engine asks of a network: dense, or any module.
- `together`: whether modules train faster in a stack, measured.
- `augmentation`: images changed at random.
- `gradient`: loss and gradient of a step, written out or by autograd.
- `losses`: losses and their gradients.
- `optimizer`: AdamW over a stack, with a proximal L1 step.
- `masks`: dropout masks of a stack.
- `random`: the random numbers of one fit.
- `data`: arrays as tensors on the device.
- `early_stopping`: when a member stops, and which of its weights it keeps.
- `threads`: how many threads a step is worth.
- `quiet`: time measured while nothing trains.
- `skorch_surface`: the skorch net of a fitted network, and fits with skorch callbacks.

This package imports torch; `task`, `random` and `quiet` do not.
"""
