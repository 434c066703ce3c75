import time
from multiprocessing import Process


def worker(pause, name):
    for n in range(1, 4):
        time.sleep(pause)
        print(f"I am {name}, working: round {n}")


if __name__ == "__main__":
    child = Process(target=worker, args=(0.005, "Tom"))
    child.start()
    child.join()
