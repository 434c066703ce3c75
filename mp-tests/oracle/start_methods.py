import multiprocessing


def greet(queue, method):
    queue.put(f"hello by {method}")


if __name__ == "__main__":
    for method in "fork", "spawn":
        context = multiprocessing.get_context(method)
        queue = context.Queue(1)
        child = context.Process(target=greet, args=(queue, method))
        child.start()
        print(queue.get())
        child.join()
