"""Bytes on disk that are checked before they are believed. NumPy only.

- `container`: one line that says what a file is, and the bytes that it vouches for.
- `tree`: arrays and plain values as bytes, and back.
- `store`: a folder of such files, each found by its key.
"""
