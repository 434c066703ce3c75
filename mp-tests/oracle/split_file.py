import os
import tempfile
from multiprocessing import Pipe, Process


def copy_part(reply, source, target, start, end):
    with open(source, "rb") as reader, open(target, "r+b") as writer:
        reader.seek(start)
        writer.seek(start)
        reply.send(writer.write(reader.read(end - start)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "picture"), os.path.join(folder, "copy")
        with open(source, "wb") as picture:
            picture.write(bytes(n % 256 for n in range(100_001)))
        size = os.path.getsize(source)
        with open(target, "wb") as copy:
            copy.truncate(size)
        for name, start, end in ("top", 0, size // 2), ("bottom", size // 2, size):
            ours, theirs = Pipe()
            child = Process(target=copy_part, args=(theirs, source, target, start, end))
            child.start()
            print(f"{name}: {ours.recv()} bytes")
            child.join()
        same = open(source, "rb").read() == open(target, "rb").read()
        print(f"the same: {str(same).lower()}")
