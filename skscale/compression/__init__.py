"""Compression of networks: pruning and distillation.

- `groups`: the hyperparameter groups `Pruning` and `Distillation`.
- `importance`: importance of hidden units and of single weights.
- `removal`: selection and removal of units and weights, in NumPy.
- `channels`: importance and removal of the channels of convolutional networks.
- `pruning`: removal and fine-tuning in turns; `prune`: the same for a fitted estimator.
- `distillation`: teacher predictions, cached for each set of training rows.
- `reshaping`: a trained network at another depth or width, for `warm_start`.
"""
