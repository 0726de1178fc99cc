"""Make networks smaller: what is unimportant in them, and a network without it."""
