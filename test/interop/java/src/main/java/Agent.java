import com.aliyun.oss.OSSEncryptionClient;
import com.aliyun.oss.OSSEncryptionClientBuilder;
import com.aliyun.oss.common.auth.DefaultCredentialProvider;
import com.aliyun.oss.crypto.EncryptionMaterials;
import com.aliyun.oss.crypto.KmsEncryptionMaterials;
import com.aliyun.oss.crypto.MultipartUploadCryptoContext;
import com.aliyun.oss.crypto.SimpleRSAEncryptionMaterials;
import com.aliyun.oss.model.CompleteMultipartUploadRequest;
import com.aliyun.oss.model.GetObjectRequest;
import com.aliyun.oss.model.InitiateMultipartUploadRequest;
import com.aliyun.oss.model.PartETag;
import com.aliyun.oss.model.UploadPartRequest;
import com.aliyuncs.profile.DefaultProfile;
import com.google.gson.Gson;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Puts or gets one object with the official Java SDK, as told by JSON on standard input. */
public class Agent {
    static class Kms {
        String endpoint;
        String key;
    }

    static class Job {
        String op, provider, endpoint, region, bucket, ak, sk, object, file, private_pem, public_pem;
        int part_size;
        long[] range;
        Map<String, String> matdesc;
        Kms kms;
    }

    public static void main(String[] args) throws Exception {
        Job job = new Gson().fromJson(new InputStreamReader(System.in), Job.class);
        OSSEncryptionClient client = new OSSEncryptionClientBuilder()
            .build(job.endpoint, new DefaultCredentialProvider(job.ak, job.sk), materials(job));
        try {
            switch (job.op) {
                case "put" -> client.putObject(job.bucket, job.object,
                    new ByteArrayInputStream(Files.readAllBytes(Path.of(job.file))));
                case "putparts" -> putParts(client, job);
                case "get", "getrange" -> get(client, job);
                default -> throw new IllegalArgumentException("unknown op " + job.op);
            }
        } finally {
            client.shutdown();
        }
    }

    static EncryptionMaterials materials(Job job) throws Exception {
        if (job.provider.equals("kms")) {
            DefaultProfile.addEndpoint(job.region, "Kms", job.kms.endpoint);
            KmsEncryptionMaterials kms = new KmsEncryptionMaterials(job.region, job.kms.key);
            kms.setKmsCredentialsProvider(new DefaultCredentialProvider(job.ak, job.sk));
            return kms;
        }
        KeyPair pair = new KeyPair(
            SimpleRSAEncryptionMaterials.getPublicKeyFromPemX509(Files.readString(Path.of(job.public_pem))),
            SimpleRSAEncryptionMaterials.getPrivateKeyFromPemPKCS8(Files.readString(Path.of(job.private_pem))));
        return job.matdesc == null || job.matdesc.isEmpty()
            ? new SimpleRSAEncryptionMaterials(pair)
            : new SimpleRSAEncryptionMaterials(pair, job.matdesc);
    }

    static void get(OSSEncryptionClient client, Job job) throws Exception {
        GetObjectRequest request = new GetObjectRequest(job.bucket, job.object);
        if (job.op.equals("getrange")) {
            request.setRange(job.range[0], job.range[1]);
        }
        try (InputStream in = client.getObject(request).getObjectContent()) {
            Files.write(Path.of(job.file), in.readAllBytes());
        }
    }

    static void putParts(OSSEncryptionClient client, Job job) throws Exception {
        byte[] data = Files.readAllBytes(Path.of(job.file));
        MultipartUploadCryptoContext context = new MultipartUploadCryptoContext();
        context.setPartSize(job.part_size);
        context.setDataSize(data.length);
        String upload = client.initiateMultipartUpload(
            new InitiateMultipartUploadRequest(job.bucket, job.object), context).getUploadId();
        List<PartETag> parts = new ArrayList<>();
        for (int n = 1, off = 0; off < data.length; n++, off += job.part_size) {
            int size = Math.min(job.part_size, data.length - off);
            UploadPartRequest part = new UploadPartRequest(job.bucket, job.object, upload, n,
                new ByteArrayInputStream(data, off, size), size);
            parts.add(client.uploadPart(part, context).getPartETag());
        }
        client.completeMultipartUpload(
            new CompleteMultipartUploadRequest(job.bucket, job.object, upload, parts), context);
    }
}
