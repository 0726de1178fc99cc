"""Prediction, from rows in any container to labels and numbers. Imports NumPy only.

- `predictor`: `Predictor`, the fitted state of an estimator: inputs, network and head.
- `inputs`: rows as the arrays that a network takes: tables, images, samples, pipelines.
- `columns`: containers of rows; `categories`: categories as codes; `encoding`: numbers and
  codes as inputs; `steps`: the frozen steps of a pipeline.
- `heads`: outputs as labels, probabilities and numbers.
"""
