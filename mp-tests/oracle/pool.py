from multiprocessing import Pool, TimeoutError
from time import sleep


def square(number):
    return number * number


if __name__ == "__main__":
    with Pool(4) as pool:
        print(pool.map(square, range(10)))
        print(sorted(pool.imap_unordered(square, range(10))))
        print(pool.apply_async(square, [10]).get(timeout=10))
        try:
            print(pool.apply_async(sleep, [60]).get(timeout=0.05))
        except TimeoutError:
            print("timed out")
