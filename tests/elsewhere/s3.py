"""S3 by moto, in memory, on a free loopback port, which it tells in a line.

One request at a time: moto looks at a condition and writes without a lock in between. Served by its own command, two racing conditional
writes of one key both win now and then, and no store can be kept there.
"""

import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

lock = threading.Lock()
application = DomainDispatcherApplication(create_backend_app)


def one_at_a_time(environ, start_response):
    """Does a request to its end, the body of its answer included."""
    with lock:
        return [b"".join(application(environ, start_response))]


class Quiet(WSGIRequestHandler):
    """Keeps connections open, and logs no requests."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_arguments):
        pass


server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
