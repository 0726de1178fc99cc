"""Networks of a user-defined class, any nn.Module.

- `architecture`: the shape, without torch.
- `measurement`: the shape of a class, measured.
- `checks`: whether a class can learn, by its outputs for rows of X.
- `family`: the interface to these parts.
"""
