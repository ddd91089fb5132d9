"""Serves page.html on 127.0.0.1, prints its port, then the first report of the page, and ends."""

import pathlib
from http.server import BaseHTTPRequestHandler, HTTPServer

PAGE = pathlib.Path(__file__).with_name("page.html").read_bytes()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(PAGE if self.path == "/" else b"")

    def do_POST(self):
        said = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(b"")
        print(f"report from {self.headers['Origin']}: {said}", flush=True)
        self.server.reports += 1

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
server.reports = 0
print(server.server_port, flush=True)
while server.reports == 0:
    server.handle_request()
