import sys
from multiprocessing import Pipe, Process

sys.stdout.reconfigure(line_buffering=True)  # a line is one write


def listen(connection):
    message = None
    while message != "finish":
        message = connection.recv()
        print("child:", message)
        connection.send(len(message))


if __name__ == "__main__":
    ours, theirs = Pipe()
    child = Process(target=listen, args=(theirs,))
    child.start()
    for word in "a", "few", "words", "finish":
        ours.send(word)
        print(f"parent: it has {ours.recv()} letters")
    child.join()
