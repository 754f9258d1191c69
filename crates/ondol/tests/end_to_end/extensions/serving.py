"""An HTTPS server with the pod's certificate: one function for each path that is posted to or got."""
import http.server
import json
import ssl


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Nothing waits until the other side has acknowledged what was sent before it (session tickets, the head of an answer): that takes
    # 40 ms, and servers in other languages do not wait either.
    disable_nagle_algorithm = True
    wbufsize = -1

    def answer(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def document(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, format, *arguments):
        print(format % arguments, flush=True)


def serve(handler, client_authority=None):
    """Serves until the pod ends; who shows a certificate must have it from `client_authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
    if client_authority:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=client_authority)
    server = http.server.ThreadingHTTPServer(("", 8443), handler)
    server.daemon_threads = True
    # The greeting is each connection's own business: one that says nothing must not hold up the others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
