"""The public estimators: thin, explicit signatures, scikit-learn's contract.

- `classifier`, `regressor`: the dense estimators; `documentation`: what their docstrings share.
- `base`: parameters, fitted state, prediction, pickles.
- `fitting`: what a fit goes through, from the call to the adopted network.
- `description`: what is to be trained, from the input to tasks of the engine.
- `features`: X as the engine takes it; `categories`: its categories as codes.
- `targets`: y, weights and the validation rows as the engine takes them.
- `calibration`: probabilities as sure as they are right.
- `pickling`: what a pickle says and leaves out.
"""
