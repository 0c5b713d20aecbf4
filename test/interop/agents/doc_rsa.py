#!/usr/bin/env python3
"""What the SDK's documentation shows for a key pair on the local disk: upload, read back, download, compare."""
import os
import sys

import oss2
from oss2.crypto import LocalRsaProvider

endpoint, access_key_id, access_key_secret, bucket_name, key_dir = sys.argv[1:6]
auth = oss2.Auth(access_key_id, access_key_secret)

key = "motto.txt"
content = b"a" * 1024 * 1024
filename = "download.txt"

bucket = oss2.CryptoBucket(auth, endpoint, bucket_name, crypto_provider=LocalRsaProvider(dir=key_dir))
bucket.put_object(key, content, headers={"content-length": str(1024 * 1024)})

result = bucket.get_object(key)
content_got = b""
for chunk in result:
    content_got += chunk
assert content_got == content

result = bucket.get_object_to_file(key, filename)
with open(filename, "rb") as fileobj:
    assert fileobj.read() == content
os.remove(filename)
print("ok")
