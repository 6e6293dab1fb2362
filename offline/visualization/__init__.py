"""The song map: projection of song vectors, labels, picture and page."""
