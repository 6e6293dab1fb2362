"""The experiment of deep content-based recommendation: day-zero retrieval from audio."""
