from segue.stream.runtime.watchdog import EXIT_STALLED, Watchdog
from tests.support.waiting import PATIENCE_S


def test_silence_beyond_the_timeout_is_reported_with_what_fell_silent(clock):
    stalls = []
    watchdog = Watchdog(10, ["plays", "the broker", "the event loop"], stalls.append, clock)
    clock.now = 2
    watchdog.beat("the broker")
    clock.now = 10
    watchdog.beat("the event loop")
    watchdog.check()
    assert stalls == []
    clock.now = 11
    watchdog.check()
    assert stalls == ["No sign of life from plays and the broker for 11 s"]


def test_what_beats_on_is_left_alone(clock):
    stalls = []
    watchdog = Watchdog(10, ["plays"], stalls.append, clock)
    for clock.now in range(0, 100, 9):
        watchdog.beat("plays")
        watchdog.check()
    assert stalls == []


def test_its_thread_watches_by_itself():
    import threading

    stalled = threading.Event()
    watchdog = Watchdog(0.05, ["plays"], lambda _: stalled.set())
    watchdog.start()
    assert stalled.wait(PATIENCE_S)
    watchdog.stop()


def test_a_stalled_process_ends_with_a_status_of_its_own():
    import subprocess
    import sys

    script = "from segue.stream.runtime.watchdog import end_process; end_process('Nothing moves')"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == EXIT_STALLED
    assert "Nothing moves" in ended.stderr
