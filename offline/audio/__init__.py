"""Audio files to embeddings: decoding, spectrogram cache, CNN training, inspection."""
