"""Prediction: from rows in any container to labels and numbers. Imports NumPy only.

- `predictor`: `Predictor`, the fitted state of an estimator: inputs, network and head.
- `inputs`: from rows to the arrays that a network takes: tables, images, samples, pipelines.
- `columns`: the containers of rows; `categories`: categories as codes; `encoding`: numbers and
  codes as inputs; `steps`: the frozen steps of a pipeline.
- `dense`: the dense network; `weights`: the weights of a network or of a stack.
- `heads`: from outputs to labels, probabilities and numbers.
- `namespace`: the same arithmetic for arrays of other libraries.
"""
