#!/usr/bin/env python3
"""Puts or gets one object with the official Python SDK (oss2), as told by JSON on standard input.

Works with the legacy SDK (2.5 to 2.10) and the current one (2.11 and later). One process does one job, so that
nothing an SDK keeps in memory can help it to read what it wrote.
"""
import json
import sys

import oss2
from oss2.crypto import AliKMSProvider, LocalRsaProvider

CURRENT = hasattr(oss2.crypto, "RsaProvider")


def route_kms(job):
    """Sends the KMS client of the SDK to the endpoint of the job. It speaks HTTPS only."""
    from aliyunsdkcore.profile import region_provider
    region_provider.modify_point("Kms", job["region"], job["kms"]["endpoint"])


def make_provider(job):
    kind = job["provider"]
    if kind == "localrsa":
        return LocalRsaProvider(dir=job["dir"], key=job.get("name", ""), passphrase=job.get("passphrase") or None)
    if kind == "rsa":
        pair = {}
        with open(job["public_pem"]) as f:
            pair["public_key"] = f.read()
        with open(job["private_pem"]) as f:
            pair["private_key"] = f.read()
        return oss2.crypto.RsaProvider(pair, mat_desc=job.get("matdesc") or None)
    if kind == "kms":
        route_kms(job)
        kms = job["kms"]
        return AliKMSProvider(job["ak"], job["sk"], job["region"], kms["key"],
                              kms.get("sts") or None, kms.get("passphrase") or None)
    raise SystemExit("unknown provider %r" % kind)


def make_bucket(job):
    auth = oss2.Auth(job["ak"], job["sk"])
    if CURRENT:
        return oss2.CryptoBucket(auth, job["endpoint"], job["bucket"], make_provider(job))
    return oss2.CryptoBucket(auth, job["endpoint"], job["bucket"], crypto_provider=make_provider(job))


def put_parts(bucket, job):
    with open(job["file"], "rb") as f:
        data = f.read()
    size = job["part_size"]
    context = oss2.models.MultipartUploadCryptoContext(len(data), size)
    upload = bucket.init_multipart_upload(job["object"], upload_context=context).upload_id
    parts = []
    for n, off in enumerate(range(0, len(data), size), start=1):
        result = bucket.upload_part(job["object"], upload, n, data[off:off + size], upload_context=context)
        parts.append(oss2.models.PartInfo(n, result.etag, size=len(data[off:off + size]), part_crc=result.crc))
    bucket.complete_multipart_upload(job["object"], upload, parts)


def main():
    job = json.load(sys.stdin)
    bucket = make_bucket(job)
    if job["op"] == "put":
        with open(job["file"], "rb") as f:
            bucket.put_object(job["object"], f.read())
    elif job["op"] == "putparts":
        put_parts(bucket, job)
    elif job["op"] == "get":
        with open(job["file"], "wb") as f:
            f.write(bucket.get_object(job["object"]).read())
    elif job["op"] == "getrange":
        first, last = job["range"]
        with open(job["file"], "wb") as f:
            f.write(bucket.get_object(job["object"], byte_range=(first, last)).read())
    else:
        raise SystemExit("unknown op %r" % job["op"])


main()
