import os
import sys
import time
from multiprocessing import Process, active_children, cpu_count, current_process

sys.stdout.reconfigure(line_buffering=True)  # a line is one write


def worker(number):
    print(f"{current_process().name} has pid {os.getpid()} and got {number}")


def linger(pause):
    time.sleep(pause)
    print(f"{current_process().name} ends")


def leave(code):
    sys.exit(code)


def code(child):
    child.join()
    return f"Some({child.exitcode})"


if __name__ == "__main__":
    print("cpus:", cpu_count())
    daemon = Process(target=linger, args=(60,), name="daemon", daemon=True)
    doomed = Process(target=linger, args=(60,), name="doomed")
    slow = Process(target=linger, args=(0.3,), name="slow")
    for child in daemon, doomed, slow:
        child.start()
    for child in active_children():
        print(f"alive: {child.name} {child.pid}")
    first = Process(target=worker, args=(100,), name="worker")
    first.start()
    print("worker:", code(first))
    leaver = Process(target=leave, args=(3,), name="leaver")
    leaver.start()
    print("leaver:", code(leaver))
    doomed.terminate()
    print("doomed:", code(doomed))
    print("daemon:", daemon.exitcode)
