"""The fault harness: a real system, faults on a seeded schedule, and a checker that trusts nothing.

python -m segue.offline.chaos --help

    schedule.py   which fault comes when, from a seed
    fault.py      what a fault is; faults.py: all kinds, which stand in *_faults.py
    plays.py      seeded plays, and what is no play, with the truth about each in its header
    producer.py   a process that sends them
    passer_by.py  a process that joins the workers' group and leaves it, over and over
    processes.py  processes that are started again when they end, and how they ended
    world.py      songs, models and rules; hybrid_training.py: of hybrids
    ground.py     broker, topics and processes of one run
    object_store.py  where the embedded broker keeps its log, so that it can be killed
    evidence.py   what topics and stores hold, read after the run
    erasures.py   who was forgotten where, and what stores may not know after it
    checker.py    what must hold of it
    report.py     all of it on one page
"""
