"""What a fitted network costs.

- `complexity`: parameters and multiply-accumulates.
"""
