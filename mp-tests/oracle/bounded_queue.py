import queue as errors
import sys
from multiprocessing import Process, Queue

sys.stdout.reconfigure(line_buffering=True)  # a line is one write


def lower(truth):
    return str(truth).lower()


def succeeds(call, *args):
    try:
        call(*args)
        return True
    except (errors.Full, errors.Empty):
        return False


def download(queue):
    for page in 11, 22, 33, 44:
        queue.put(page)
    print("downloader: full:", lower(queue.full()))
    print("downloader: one more:", lower(succeeds(queue.put_nowait, 55)))


def analyse(queue):
    total = 0
    while not queue.empty():
        total += queue.get()
    print("analyser:", total)


if __name__ == "__main__":
    queue = Queue(4)
    print("empty:", lower(queue.empty()))
    for function in download, analyse:
        child = Process(target=function, args=(queue,))
        child.start()
        child.join()
    print("empty:", lower(queue.empty()))
    print("one more:", lower(succeeds(queue.get_nowait)))
