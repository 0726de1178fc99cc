"""Files: predictors that need NumPy alone, and estimators without pickles.

- `frozen`: `FrozenPredictor`, `load_frozen`: NumPy only.
- `steps`: what is done to a table before the network; `network`: the network. NumPy only.
- `freezing`: `freeze`, which knows scikit-learn.
- `files`: `save` and `load` of estimators, on skops.
"""
