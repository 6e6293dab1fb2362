"""The live page: a web server over the topics, its state, and static files."""
