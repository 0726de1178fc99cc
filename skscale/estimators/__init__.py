"""The public estimators: thin, explicit signatures, scikit-learn's contract.

A public class joins what it predicts with the family of its networks.

- `classification`, `regression`: what is predicted: labels and probabilities, or numbers.
- `mlp`: dense networks; `cnn`: convolutional ones for images; `network`: any nn.Module.
- `modules`: what the last two have in common.
- `base`: what all have in common: parameters, fitted state, prediction, pickles.
- `fitting`: what a fit goes through, from the call to the adopted network.
- `description`: what is to be trained, from the input to tasks of the engine.
- `features`: X as the engine takes it; `categories`: its categories as codes; `images`.
- `targets`: y, weights and the validation rows as the engine takes them.
- `calibration`: probabilities as sure as they are right.
- `documentation`: what the docstrings share.
- `pickling`: what a pickle says and leaves out.
"""
