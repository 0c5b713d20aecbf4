#!/usr/bin/env python3
"""What the SDK's documentation shows for a key in KMS: upload, read back, download, compare.

The fifth argument of AliKMSProvider is an STS token; the documentation passes '1234' as if it were a passphrase.
"""
import os
import sys

import oss2
from aliyunsdkcore.profile import region_provider
from oss2.crypto import AliKMSProvider

endpoint, access_key_id, access_key_secret, bucket_name, region, cmk, kms_endpoint = sys.argv[1:8]
region_provider.modify_point("Kms", region, kms_endpoint)
auth = oss2.Auth(access_key_id, access_key_secret)

key = "motto.txt"
content = b"a" * 1024 * 1024
filename = "download.txt"

bucket = oss2.CryptoBucket(auth, endpoint, bucket_name,
                           crypto_provider=AliKMSProvider(access_key_id, access_key_secret, region, cmk, "1234"))
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
