"""The fault harness: a real system, faults on a seeded schedule, and an independent checker.

python -m segue.offline.chaos --help

    cluster.py      broker, topics and processes of one run; fixtures.py: its bundles and rules
    supervisor.py   processes that are restarted when they end, and how they ended
    producer.py     a process that sends seeded plays, with the truth about each in its header
    faults/         every fault; group_churn.py: a process that joins and leaves the group
    runner.py       the schedule of faults, their injection, and the end of a run
    evidence.py     what topics and stores hold after the run
    checker.py      the invariants; rule_oracle.py: the business rules, implemented once more
    object_store.py where the embedded broker keeps its log, so that it can be killed
    report.py       the report
"""
