"""The two-stage model: candidates of every retriever, then one ranker.

`config` names the parts of a hybrid, `parts` assembles them, `retrievers` is the registry of what
generates candidates, `candidate_generation` and `feature_extraction` make the ranker's inputs,
and `model` is the hybrid as a next-song model. A single retriever or feature belongs to the
package of its model; only assembly enters here.
"""
