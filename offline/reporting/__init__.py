"""Reports: Markdown and HTML documents, plots, JSON files, progress bars."""
