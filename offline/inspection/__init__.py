"""One list explained, similar songs, song lookup and playlist continuation."""
