"""Files: predictors that need NumPy alone, and estimators without pickles.

- `container`: one line that says what a file is, and the bytes that it vouches for.
- `frozen`: `FrozenPredictor`, `load_frozen`: NumPy only.
- `steps`: what is done to a table before the network; `network`: the network. NumPy only.
- `tree`: parts as JSON and plain arrays, and back.
- `freezing`: `freeze`, which knows scikit-learn.
- `files`: `save` and `load` of estimators, on skops.
"""
