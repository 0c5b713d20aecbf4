#!/usr/bin/env python3
"""Puts or gets one object with version 2 of the official Python SDK (alibabacloud_oss_v2), as told by JSON on standard input. It has RSA keys only."""
import json
import sys

import alibabacloud_oss_v2 as oss
from alibabacloud_oss_v2.crypto.master_rsa_cipher import MasterRsaCipher


def make_client(job):
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(job["ak"], job["sk"])
    config.region, config.endpoint, config.use_path_style = job["region"], job["endpoint"], True
    with open(job["public_pem"]) as public, open(job["private_pem"]) as private:
        cipher = MasterRsaCipher(public_key=public.read(), private_key=private.read())
    return oss.EncryptionClient(oss.Client(config), cipher)


def put_parts(client, job, data):
    where = {"bucket": job["bucket"], "key": job["object"]}
    size = job["part_size"]
    begun = client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(**where, cse_part_size=size, cse_data_size=len(data)))
    parts = []
    for n, off in enumerate(range(0, len(data), size), start=1):
        part = client.upload_part(oss.UploadPartRequest(
            **where, upload_id=begun.upload_id, part_number=n, cse_multipart_context=begun.cse_multipart_context, body=data[off:off + size]))
        parts.append(oss.UploadPart(part_number=n, etag=part.etag))
    client.complete_multipart_upload(oss.CompleteMultipartUploadRequest(
        **where, upload_id=begun.upload_id, complete_multipart_upload=oss.CompleteMultipartUpload(parts=parts)))


def main():
    job = json.load(sys.stdin)
    client = make_client(job)
    request = {"bucket": job["bucket"], "key": job["object"]}
    if job["op"] in ("put", "putparts"):
        with open(job["file"], "rb") as f:
            data = f.read()
        if job["op"] == "put":
            client.put_object(oss.PutObjectRequest(**request, body=data))
        else:
            put_parts(client, job, data)
        return
    if job["op"] == "getrange":
        request["range_header"] = "bytes=%d-%d" % tuple(job["range"])
    result = client.get_object(oss.GetObjectRequest(**request))
    with open(job["file"], "wb") as f:
        f.write(result.body.read())


main()
