"""An FTP server for a folder, as the nearest thing to a far storage that runs everywhere; says its port.

python ftp.py FOLDER, until it is killed; the user is nas, the password secret.
"""

from __future__ import annotations

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

if __name__ == "__main__":
    users = DummyAuthorizer()
    users.add_user("nas", "secret", sys.argv[1], perm="elradfmwMT")
    FTPHandler.authorizer = users
    server = FTPServer(("127.0.0.1", 0), FTPHandler)
    print(server.address[1], flush=True)
    server.serve_forever()
