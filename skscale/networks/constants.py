"""Constants of the function of a network, and of its trained parameters."""

# A bias is its trained value times BIAS_GAIN, so it changes more slowly than a weight. An input
# scale changes faster (Holzmueller et al. 2024, "Better by default", table A.1).
BIAS_GAIN = 0.1
SCALE_GAIN = 6.0
# torch's default for layer normalization; part of the network's function.
NORM_EPS = 1e-5
