"""The public estimators: thin, explicit signatures, scikit-learn's contract.

- `mlp`: the dense classifier and regressor.
- `base`: what a fit goes through, from validated input to adopted network.
- `features`: X as the engine takes it.
- `pickling`: what a pickle says and leaves out.
- `targets`: y, weights and the validation rows as the engine takes them.
"""
