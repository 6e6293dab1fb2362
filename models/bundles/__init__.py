"""The model artifact: a directory of safetensors, config, vocabulary and manifest with checksums.

Writing and verifying bundles enters here; what a kind of bundle holds is its model's business.
"""
