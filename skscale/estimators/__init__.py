"""Public estimators, with explicit signatures and scikit-learn's API.

A public class combines a kind of prediction with a family of networks.

- `classification`, `regression`: the kinds of prediction.
- `mlp`: dense networks; `cnn`: convolutional networks for images; `network`: any nn.Module.
- `module_networks`: base class of the last two; `base`: base class of all.
- `fitting`: `fit`, from the call to the fitted attributes; `description`: its rows and its
  task; `partial_fit`: one pass over rows; `prune`: pruning of a fitted estimator.
- `warm_start`, `students`: tasks with a fitted network or with a teacher.
- `validation_set`: the validation set, split off or passed; `validation_scoring`: its score.
- `targets`: y; `sample_weights`: sample and class weights; `auto`: values of "auto".
- `module_arguments`: arguments of a user's module.
- `calibration`: temperature scaling; `progress`: reports during training.
- `docstrings`: shared docstring entries; `pickling`: placeholders in a pickle.
"""
