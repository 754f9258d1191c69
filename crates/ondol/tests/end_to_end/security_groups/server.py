"""Says back what it hears, on two ports."""
import socketserver
import threading


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while heard := self.request.recv(64):
            self.request.sendall(heard)


socketserver.ThreadingTCPServer.allow_reuse_address = True
servers = [socketserver.ThreadingTCPServer(("", port), Echo) for port in (9000, 9001)]
threads = [threading.Thread(target=server.serve_forever) for server in servers]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
