from multiprocessing import Array, Process, Value


def change(number, row):
    number.value = 3.1415927
    for index in range(len(row)):
        row[index] = -row[index]


if __name__ == "__main__":
    number, row = Value("d", 0.0), Array("i", range(10))
    child = Process(target=change, args=(number, row))
    child.start()
    child.join()
    print(number.value)
    print(row[:])
