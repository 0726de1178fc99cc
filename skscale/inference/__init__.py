"""NumPy forward passes: what a fitted estimator needs to predict. Imports NumPy only."""
