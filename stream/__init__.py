"""The live system: settings, events, histories, the pipeline and its Faust wiring."""
