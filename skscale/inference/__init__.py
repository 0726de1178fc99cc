"""Prediction from rows in any container to labels and numbers. Imports NumPy only.

- `predictor`: `Predictor`, the fitted state of an estimator: inputs, network and head.
- `inputs`: conversion of rows (tables, samples, pipelines) to the network's arrays; `images`:
  the same for images.
- `columns`: containers of rows; `categories`: codes of categories; `advice`: messages about
  columns that tell little; `encoding`: numbers and codes as network inputs; `column_choice`:
  columns that get piecewise-linear or direct inputs; `steps`: fitted pipeline steps.
- `heads`: network outputs as labels, probabilities and numbers.
"""
