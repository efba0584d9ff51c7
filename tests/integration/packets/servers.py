"""Two small servers for the packet tests' captures: DNS on port 53 (UDP, TCP) and HTTP/1.1 on port 5052."""

import http.server
import socket
import socketserver
import struct
import threading


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def record(kind, data, owner=b"\xc0\x0c", ttl=300):
    return owner + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def answers(asked, kind):
    if asked.startswith("many."):
        return [record(1, bytes([10, 1, n, 1]), name(f"n{n}.many.example.org")) for n in range(60)]
    if asked.startswith("alias."):
        return [record(5, name("real.example.co.uk")), record(1, bytes([192, 0, 2, 5]), name("real.example.co.uk"))]
    data = {
        1: [bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])],
        28: [socket.inet_pton(socket.AF_INET6, "2001:db8::1")],
        12: [name("host.example.org")],
        15: [struct.pack(">H", 10) + name("mail.example.org"), struct.pack(">H", 20) + b"\x01b\xc0\x0c"],
        16: [b"\x05hello\x07wo\"rl\\d", b"\x00"],
        33: [struct.pack(">HHH", 1, 2, 5060) + name("sip.example.org")],
        6: [name("ns.example.org") + name("admin.example.org") + struct.pack(">IIIII", 7, 1, 2, 3, 4)],
    }
    return [record(kind, value) for value in data.get(kind, [b"\xde\xad"])]


def reply(query, limit):
    number, flags, _, _, _, additional = struct.unpack(">HHHHHH", query[:12])
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
    question, asked = query[12 : at + 5], ".".join(labels).lower()
    if asked.startswith("silent."):
        return None
    missing = asked.startswith("missing.")
    found = [] if missing else answers(asked, kind)
    extra = b""
    if additional:
        size, upper = struct.unpack(">HI", query[at + 8 : at + 14])
        limit = max(limit, size)
        extra = b"\0" + struct.pack(">HHIH", 41, 1232, upper & 0x8000, 0)
    flags = 0x8480 | flags & 0x0110 | (3 if missing else 0)
    body = b"".join(found)
    if 12 + len(question) + len(body) + len(extra) > limit:
        flags, found, body = flags | 0x0200, [], b""
    header = struct.pack(">HHHHHH", number, flags, 1, len(found), 0, 1 if extra else 0)
    return header + question + body + extra


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        answer = reply(data, 512)
        if answer:
            sock.sendto(answer, self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        while length := self.rfile.read(2):
            answer = reply(self.rfile.read(struct.unpack(">H", length)[0]), 65535)
            if answer:
                # In two segments, cut in the middle of the length.
                self.wfile.write(struct.pack(">H", len(answer))[:1])
                self.wfile.flush()
                self.wfile.write(struct.pack(">H", len(answer))[1:] + answer)


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self):
        if self.path.startswith("/chunked"):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (b"hello", b" ", b"world" * 1000):
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        elif self.path.startswith("/until-close"):
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"x" * 5000)
            self.close_connection = True
        else:
            body = b"y" * (300_000 if self.path.startswith("/large") else 17)
            self.send_response(404 if self.path.startswith("/missing") else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    do_GET = do_HEAD = answer

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer()


class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


servers = [
    socketserver.ThreadingUDPServer(("127.0.0.1", 53), Udp),
    Threads(("127.0.0.1", 53), Tcp),
    Threads(("127.0.0.1", 5052), Web),
]
threads = [threading.Thread(target=server.serve_forever) for server in servers]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
