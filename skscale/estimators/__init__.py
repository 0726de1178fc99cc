"""The public estimators: thin, explicit signatures, scikit-learn's contract.

A public class joins what it predicts with the family of its networks.

- `classification`, `regression`: labels and probabilities, or numbers.
- `mlp`: dense networks; `cnn`: convolutional ones for images; `network`: any nn.Module.
- `modules`: the common part of the last two; `base`: of all: parameters, views, pickles.
- `fitting`: fits, from the call to the adopted networks.
- `description`: from the input of a fit to tasks of the engine.
- `targets`: y, weights and the validation rows as the engine takes them.
- `images`: moments of pixels; `calibration`: temperature scaling.
- `documentation`: entries that the docstrings share; `pickling`: stand-ins in a pickle.
"""
