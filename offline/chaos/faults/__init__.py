"""All kinds of fault, by name: of processes, of stores, of models, of the consumer group."""

from __future__ import annotations

from segue.offline.chaos.faults import models as of_models
from segue.offline.chaos.faults import processes as of_processes
from segue.offline.chaos.faults import stores as of_stores
from segue.offline.chaos.faults.base import Fault

FAULTS: dict[str, Fault] = {
    "kill": of_processes.kill,
    "kill all": of_processes.kill_all,
    "kill producer": of_processes.kill_producer,
    "freeze": of_processes.freeze,
    "slow": of_processes.slow,
    "restart": of_processes.restart,
    "guest": of_processes.guest,
    "group churn": of_processes.churn,
    "pause broker": of_processes.pause_broker,
    "lost group": of_processes.lose_group,
    "kill broker": of_processes.kill_broker,
    "restart broker": of_processes.restart_broker,
    "hang": of_processes.hang,
    "clock jump": of_processes.clock_jump,
    "torn store": of_stores.torn_store,
    "full store": of_stores.full_store,
    "full disk": of_stores.full_disk,
    "swap": of_models.swap,
    "corrupt bundle": of_models.corrupt_bundle,
    "corrupted model": of_models.corrupted_model,
}
