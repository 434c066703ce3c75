import sys
from multiprocessing import Lock, Process, Value

sys.stdout.reconfigure(line_buffering=True)  # a line is one write


def greet(lock, lines, number):
    with lock:
        print("hello from", number)
        print("goodbye from", number)
        lines.value += 2


if __name__ == "__main__":
    lock, lines = Lock(), Value("i", 0)
    children = [Process(target=greet, args=(lock, lines, number)) for number in range(10)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print(lines.value, "lines")
