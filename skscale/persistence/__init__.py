"""Files: predictors that need NumPy alone, and estimators without pickles.

- `frozen`: `load_frozen`, of what `Predictor.save` wrote. NumPy only.
- `freezing`: `freeze`, which knows scikit-learn.
- `files`: `save` and `load` of estimators, on skops; `trusted`: the types they may hold.
"""
