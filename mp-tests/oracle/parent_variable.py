from multiprocessing import Process

a = 1


def change():
    global a
    print("child: a =", a)
    a = 1000
    print("child: a =", a)


if __name__ == "__main__":
    child = Process(target=change)
    child.start()
    child.join()
    print("parent: a =", a)
