"""Experiments of papers, run anew with their protocols, tables and figures."""
