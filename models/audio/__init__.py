"""Audio content: mel spectrograms, the CNN of van den Oord et al. (2013), a residual CNN, losses.

Decoding files and training loops belong to `offline.audio`.
"""
