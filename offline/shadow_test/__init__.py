"""The paired comparison of the active and the shadow model from scraped counters."""
