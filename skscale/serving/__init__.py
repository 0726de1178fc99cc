"""Files of predictors and of estimators, without pickle.

- `frozen`: `load_frozen` reads a file of `Predictor.save`. NumPy only.
- `freezing`: `freeze` makes a predictor of an estimator or a pipeline.
- `files`: `save` and `load` of estimators, by skops; `trusted`: the types that may be in one.
"""
