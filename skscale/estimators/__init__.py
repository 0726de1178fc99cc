"""Public estimators, with explicit signatures and scikit-learn's API.

A public class combines a kind of prediction with a family of networks.

- `classification`, `regression`: the kinds of prediction.
- `mlp`: dense networks; `cnn`: convolutional networks for images; `network`: any nn.Module.
- `module_networks`: base class of the last two; `base`: base class of all.
- `fitting`: `fit`, from the call to the fitted attributes; `partial_fit`: one pass over rows.
- `warm_start`, `students`, `validation_rows`: tasks with a fitted network, a teacher, or a
  validation set passed to `fit`.
- `targets`: y, sample weights and the validation split; `auto`: values of "auto".
- `calibration`: temperature scaling; `progress`: reports during training.
- `docstrings`: shared docstring entries; `pickling`: placeholders in a pickle.
"""
