"""Checksummed files of arrays and plain values, with NumPy only.

- `container`: files of a header with a checksum, and content.
- `tree`: serialization of arrays and plain values to bytes.
- `store`: a cache folder of such files, each found by its key.
"""
