import time
from multiprocessing import Process, Queue


def consume(queue):
    message = None
    while message != "finish":
        if queue.empty():
            time.sleep(0.001)
            continue
        message = queue.get()
        print("child:", message)


if __name__ == "__main__":
    queue = Queue(16)
    child = Process(target=consume, args=(queue,))
    child.start()
    for number in range(5):
        queue.put(f"message {number}")
    queue.put("finish")
    child.join()
    print("parent: the queue is empty:", str(queue.empty()).lower())
