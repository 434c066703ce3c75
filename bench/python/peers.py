"""CPython's multiprocessing at the workloads of mp's benchmarks: prints nanoseconds an operation."""

import multiprocessing as mp
import sys
import time


def timed(count, work):
    start = time.perf_counter_ns()
    work()
    print((time.perf_counter_ns() - start) / count)


def drain(queue, count):
    for _ in range(count):
        queue.get()


def queue_stream():
    count = 50_000
    queue = mp.Queue(1024)
    child = mp.Process(target=drain, args=(queue, count))
    child.start()

    def work():
        for i in range(count):
            queue.put(i)
        child.join()

    timed(count, work)


def echo_queue(there, back, count):
    for _ in range(count):
        back.put(there.get())


def queue_rtt():
    count = 5_000
    there, back = mp.Queue(), mp.Queue()
    child = mp.Process(target=echo_queue, args=(there, back, count))
    child.start()

    def work():
        for i in range(count):
            there.put(i)
            back.get()

    timed(count, work)
    child.join()


def echo_pipe(end, count):
    for _ in range(count):
        end.send(end.recv())


def pipe_rtt():
    count = 10_000
    here, there = mp.Pipe()
    child = mp.Process(target=echo_pipe, args=(there, count))
    child.start()

    def work():
        for i in range(count):
            here.send(i)
            here.recv()

    timed(count, work)
    child.join()


def drain_pipe(end, count):
    for _ in range(count):
        end.recv()


def pipe_stream():
    count = 100_000
    receiver, sender = mp.Pipe(duplex=False)
    child = mp.Process(target=drain_pipe, args=(receiver, count))
    child.start()

    def work():
        for i in range(count):
            sender.send(i)
        child.join()

    timed(count, work)


def nothing():
    pass


def start(method, count):
    context = mp.get_context(method)

    def one():
        child = context.Process(target=nothing)
        child.start()
        child.join()

    one()
    timed(count, lambda: [one() for _ in range(count)])


def start_fork():
    start("fork", 100)


def start_spawn():
    start("spawn", 5)


def start_forkserver():
    start("forkserver", 20)


def increment(x):
    return x + 1


def pool_map():
    count = 1_000_000
    with mp.Pool(2) as pool:
        pool.map(increment, range(100))
        timed(count, lambda: pool.map(increment, range(count)))


def pool_stream():
    count = 20_000
    with mp.Pool(2) as pool:
        pool.map(increment, range(100))
        timed(count, lambda: sum(1 for _ in pool.imap(increment, range(count))))


def pool_apply():
    count = 2_000
    with mp.Pool(2) as pool:
        pool.map(increment, range(100))
        timed(count, lambda: [pool.apply(increment, (i,)) for i in range(count)])


def length(data):
    return len(data)


def pool_big():
    data = bytes(64 << 20)
    with mp.Pool(2) as pool:
        pool.apply(length, (b"",))
        timed(3, lambda: [pool.apply(length, (data,)) for _ in range(3)])


def manager_set():
    count = 5_000
    with mp.Manager() as manager:
        shared = manager.dict()
        shared[0] = 0

        def work():
            for i in range(count):
                shared[i & 255] = i

        timed(count, work)


def manager_bulk():
    count = 100_000
    pairs = {i: i for i in range(count)}
    with mp.Manager() as manager:
        shared = manager.dict()
        shared[0] = 0
        timed(count, lambda: shared.update(pairs))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
