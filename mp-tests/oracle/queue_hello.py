from multiprocessing import Process, Queue


def produce(queue):
    queue.put([42, None, "hello"])


if __name__ == "__main__":
    queue = Queue(4)
    child = Process(target=produce, args=(queue,))
    child.start()
    number, nothing, word = queue.get()
    print(number, nothing, word)
    child.join()
