"""Networks of a user-defined class, any nn.Module.

- `architecture`: the shape, without torch.
- `measurement`: the shape of a class, measured.
- `family`: the interface to these parts.
"""
