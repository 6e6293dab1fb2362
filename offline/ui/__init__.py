"""A page to watch the live system on, and to listen in it: a producer and consumer as any other."""
