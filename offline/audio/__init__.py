"""From sound to vectors: files, spectrograms, training, and what the vectors are worth."""
