"""Naiad, with its defaults."""

from benchmarks.peers.servers import options, serve_until_told
from benchmarks.peers.works import find_work

import naiad


def main() -> None:
    given = options()
    pipeline = find_work(given.work).pipeline
    ports = {"grpc_port": given.port, "http_port": 0, "metrics_port": 0}
    serve_until_told(naiad.serve(pipeline, instances=given.workers, **ports))


if __name__ == "__main__":
    main()
