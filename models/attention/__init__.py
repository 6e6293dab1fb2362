"""AMNN for the next song: attention over recent songs, conditioned on the candidate.

`network` trains, `inference` serves and explains; both agree by test.
"""
