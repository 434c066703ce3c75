import os
import sys
from multiprocessing import Process

sys.stdout.reconfigure(line_buffering=True)  # a line is one write


def eat(parent):
    print(f"{parent} - {os.getpid()} eats")


def sleep(parent):
    print(f"{parent} - {os.getpid()} sleeps")


def learn(parent):
    print(f"{parent} - {os.getpid()} learns")


if __name__ == "__main__":
    jobs = [Process(target=function, args=(os.getpid(),)) for function in (eat, sleep, learn)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
