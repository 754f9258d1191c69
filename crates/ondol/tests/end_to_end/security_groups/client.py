"""Tries a connection once, or (`keep`) holds one and writes down how often it was answered."""
import socket
import sys
import time

address, port = sys.argv[1], int(sys.argv[2])
try:
    connection = socket.create_connection((address, port), 3)
except OSError as error:
    print(type(error).__name__)
    sys.exit()
connection.settimeout(60)
connection.sendall(b"x")
assert connection.recv(1) == b"x"
print("open", flush=True)
count = 0
while "keep" in sys.argv:
    connection.sendall(b"x")
    assert connection.recv(1) == b"x"
    count += 1
    with open("/tmp/count", "w") as file:
        file.write(str(count))
    time.sleep(0.1)
