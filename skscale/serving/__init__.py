"""Files of predictors and of estimators, without pickle.

- `frozen`: `load_frozen` reads a file of `Predictor.save`, with NumPy only.
- `freezing`: `freeze` converts an estimator or a pipeline to a predictor.
- `files`: `save` and `load` estimators, with skops.
- `trusted`: the types that `load` trusts.
"""
