"""Compression of networks: pruning and distillation.

- `groups`: the hyperparameter groups `Pruning` and `Distillation`.
- `criteria`: importance criteria, one class each.
- `importance`: importance of hidden units and of single weights, over training rows.
- `removal`: numbers of units and of weights to remove, in NumPy.
- `pruning`: removal and fine-tuning in turns.
- `distillation`: teacher predictions, cached for each set of training rows.
- `growth`: a trained network at another depth or width, for `warm_start`.
"""
