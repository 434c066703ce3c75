import sys
from multiprocessing import Process

sys.stdout.reconfigure(line_buffering=True)  # a line is one write


def cook():
    print("child: the water boils")
    print("child: the tea is ready")


if __name__ == "__main__":
    child = Process(target=cook)
    child.start()
    print("parent: lays the table meanwhile")
    child.join()
    print("parent: drinks")
