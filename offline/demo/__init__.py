"""`segue demo`: the whole system on this machine, trained, served, judged and verified."""
