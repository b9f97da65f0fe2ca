"""OpenStack Swift with s3api on loopback: account, container, object and proxy server in one process.

    python3 all-in-one.py FOLDER MEMCACHED_PORT

Prints the port of the proxy when it answers. FOLDER is empty and on a file system with extended
attributes. Access key `test:tester`, secret `testing`.
"""

import os
import sys

import eventlet

eventlet.patcher.monkey_patch(all=False, socket=True, select=True, thread=True)

from eventlet import wsgi  # noqa: E402
from swift.common import utils  # noqa: E402
from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

FILTERS = {
    "catch_errors": "",
    "cache": "memcache_servers = 127.0.0.1:%(memcached)s",
    "listing_formats": "",
    "bulk": "",
    "s3api": "location = us-east-1\nmax_upload_part_num = 10000",
    "tempauth": "user_test_tester = testing .admin",
    "slo": "",
    "dlo": "",
    "versioned_writes": "",
}
EGGS = {"cache": "memcache"}


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf8") as file:
        file.write(text)
    return path


def ring(folder, kind, port):
    builder = RingBuilder(2, 1, 0)
    device = {"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1"}
    builder.add_dev({**device, "weight": 1.0})
    builder.rebalance()
    builder.get_ring().save(os.path.join(folder, kind + ".ring.gz"))


def serve(path, sock):
    app = loadapp(path, global_conf={"log_name": os.path.basename(path)})
    arguments = {"protocol": SwiftHttpProtocol, "capitalize_response_headers": False}
    eventlet.spawn(wsgi.server, sock, app, utils.NullLogger(), **arguments)


def main(folder, memcached):
    write(folder, "swift.conf", "[swift-hash]\nswift_hash_path_suffix = test\n")
    utils.set_swift_dir(folder)
    os.makedirs(os.path.join(folder, "node", "d1"))
    common = "[DEFAULT]\nswift_dir = %s\ndevices = %s/node\nmount_check = false\n" % (folder, folder)
    for kind in ("account", "container", "object"):
        sock = eventlet.listen(("127.0.0.1", 0))
        ring(folder, kind, sock.getsockname()[1])
        text = "[pipeline:main]\npipeline = app\n[app:app]\nuse = egg:swift#%s\n" % kind
        serve(write(folder, kind + ".conf", common + text), sock)
    text = common + "[pipeline:main]\npipeline = %s\n" % " ".join([*FILTERS, "proxy-server"])
    text += "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
    for name, settings in FILTERS.items():
        text += "[filter:%s]\nuse = egg:swift#%s\n" % (name, EGGS.get(name, name))
        text += settings % {"memcached": memcached} + "\n"
    sock = eventlet.listen(("127.0.0.1", 0))
    serve(write(folder, "proxy.conf", text), sock)
    print(sock.getsockname()[1], flush=True)
    eventlet.hubs.trampoline(sys.stdin.fileno(), read=True)  # until whoever started this is gone


main(sys.argv[1], sys.argv[2])
