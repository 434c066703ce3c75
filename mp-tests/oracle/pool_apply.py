import os
import sys
import time
from multiprocessing import Pool

sys.stdout.reconfigure(line_buffering=True)  # a line is one write


def work(task):
    start = time.time()
    time.sleep(0.01)
    print(f"task {task} ran in {os.getpid()} for {int((time.time() - start) * 1000)} ms")


if __name__ == "__main__":
    pool = Pool(3)
    for task in range(10):
        pool.apply_async(work, (task,))
    pool.close()
    pool.join()
    print("all are done")
