"""The playlist RNN: a GRU session encoder with a repeat head (after GRU4Rec and RepeatNet).

`network` is the paper's form, `inference` the compiled form that serves, held to it by tests.
"""
