"""Prequential evaluation: every play is judged by the list made before it; shadow models, too."""
