package main

import (
	"slices"
	"strings"
)

// option is one setting. Its name is the flag (--name), the key of the configuration file (name = …), the mount option
// (-o name=…) and the environment variable (OSSENCFS_NAME, upper case, underscores).
type option struct {
	name string
	arg  string // placeholder of the value; "" for a switch; [NAME] when it may be left out, which then is "true"
	def  string // default as it would be typed; "" for none or for what help says
	env  string // further environment variable, where other tools have a name for it
	many bool   // may be repeated; a list in the configuration file
	cli  bool   // on the command line only
	help string // one line, as docs/CONFIGURATION.md has it
}

// Groups of options, in the order of docs/CONFIGURATION.md.
var (
	generalOptions = []option{
		{name: "config", arg: "FILE", help: "configuration file instead of ~/.config/ossencfs/config.toml or /etc/ossencfs.toml"},
	}
	bucketOptions = []option{
		{name: "endpoint", arg: "URL", env: "OSS_ENDPOINT", help: "endpoint of OSS; made from the region when absent"},
		{name: "allow-http", help: "let an http:// endpoint of OSS or KMS be on another machine, where everybody on the way sees tokens, keys from KMS and signed requests"},
		{name: "region", arg: "REGION", env: "OSS_REGION", help: "region as cn-hangzhou; taken from an aliyuncs.com endpoint when absent"},
		{name: "internal", help: "use the endpoint inside Alibaba Cloud's network"},
		{name: "accelerate", help: "use the transfer acceleration endpoint"},
		{name: "addressing", arg: "auto|virtual|path|cname", def: "auto", help: "where the bucket's name stands in a request; auto is path for IP addresses and localhost, else virtual"},
		{name: "sign-version", arg: "v4|v1", def: "v4", help: "signature version"},
		{name: "proxy", arg: "URL", help: "HTTP proxy; direct for none; HTTPS_PROXY, HTTP_PROXY and NO_PROXY count when absent"},
		{name: "ca-file", arg: "FILE", help: "further certificate authorities to trust, PEM"},
		{name: "credentials", arg: "SOURCE", def: "auto", help: "where the access key comes from: auto, env, ossutil[:PROFILE], aliyun[:PROFILE], ecs[:ROLE], oidc, command:LINE"},
		{name: "role-arn", arg: "ARN", help: "RAM role to assume with those credentials"},
	}
	keyOptions = []option{
		{name: "rsa-key", arg: "FILE", help: "RSA key in PEM that new files are wrapped under; a key folder of the Python SDK works too"},
		{name: "kms-key", arg: "ID", help: "KMS key that new files are wrapped under"},
		{name: "kms-endpoint", arg: "URL", help: "endpoint of KMS; made from its region when absent"},
		{name: "kms-region", arg: "REGION", help: "region of KMS; that of OSS when absent"},
		{name: "read-rsa-key", arg: "FILE", many: true, help: "further RSA key for reading older files"},
		{name: "read-kms-key", arg: "ID", many: true, help: "further KMS key for reading older files"},
		{name: "key-passphrase-file", arg: "FILE", help: "file with the passphrase of the RSA key, or of the KMS encryption context"},
		{name: "key-passphrase-env", arg: "NAME", help: "environment variable with that passphrase"},
		{name: "key-passphrase-command", arg: "LINE", help: "shell command that prints that passphrase"},
		{name: "matdesc", arg: "NAME=VALUE", many: true, help: "description of the key, written with each object and used to choose the key for reading"},
		{name: "dialect", arg: "both|current|legacy", def: "both", help: "header sets to write: of the current SDKs, of the legacy Python SDK, or both"},
		{name: "box", arg: "full|tags-only", def: "full", help: "what new files' boxes hold: also the content key, or without it, so that each file is opened through the master key"},
		{name: "kms-qps", arg: "N", def: "300", help: "calls to KMS per second at most, of all keys together; fewer while KMS throttles"},
	}
	hostOptions = []option{
		{name: "host-bundle", arg: "FILE", help: "mount without being able to read, with the bundle of `ossencfs key export-host` instead of a master key"},
		{name: "machine-key", arg: "file|systemd-creds", def: "file", help: "what keeps the key of such a host's cache: a file, or systemd-creds with the TPM or host key of the machine"},
		{name: "machine-key-file", arg: "FILE", help: "that file; machine.key or machine.cred in the cache folder when absent"},
	}
	trustOptions = []option{
		{name: "accept-foreign", arg: "[PREFIX]", many: true, help: "read what was not written by a key holder of the volume: everywhere (also as `true`), or below a prefix of the bucket"},
		{name: "require-authentic", help: "refuse it, also in a bucket that had such objects when the volume was made"},
		{name: "strict", help: "refuse objects that stand under another name than they were sealed for or renamed to by ossencfs"},
		{name: "volume-id", arg: "ID", many: true, help: "volume key that the bucket must have, for the first use on a new machine; `ossencfs key list` shows it"},
	}
	transferOptions = []option{
		{name: "multipart-threshold", arg: "SIZE", help: "files of at least this size are uploaded in parts"},
		{name: "part-size", arg: "SIZE", help: "size of a part; chosen from the file's size when absent"},
	}
	mountOptions = []option{
		{name: "prefix", arg: "PREFIX", help: "mount only what is below this prefix of the bucket; the same as oss://BUCKET/PREFIX"},
		{name: "read-only", help: "refuse every change"},
		{name: "allow-other", help: "let other users in, as far as modes and owners let them"},
		{name: "uid", arg: "UID", help: "owner of objects that do not name one; the mounting user when absent"},
		{name: "gid", arg: "GID", help: "group of objects that do not name one; the mounting user's when absent"},
		{name: "umask", arg: "OCTAL", def: "022", help: "permissions to take away from objects that have no mode"},
		{name: "nonempty", help: "mount on a folder that is not empty"},
		{name: "suid", help: "honour set-user-id bits (root only)"},
		{name: "dev", help: "honour device files (root only)"},
		{name: "noexec", help: "do not run programs from the mount (root only)"},
		{name: "writeback", help: "let the kernel collect small writes: faster random writes, lost when this process is killed before fsync"},
		{name: "fsync", arg: "local|remote", def: "local", help: "what fsync waits for: this machine's disk, or the bucket"},
		{name: "close", arg: "local|remote", def: "local", help: "what close waits for after writing: this machine, or the bucket"},
		{name: "settle", arg: "DURATION", def: "2s", help: "a file is uploaded this long after its last change"},
		{name: "late-limit", arg: "DURATION", def: "2m", help: "longest time after which a request without an answer may still take effect in OSS"},
		{name: "metadata-ttl", arg: "DURATION", def: "1m", help: "a directory is listed again after this time, to see changes made elsewhere"},
		{name: "workers", arg: "N", def: "16", help: "uploads at a time"},
		{name: "exclusive-create", arg: "local|remote", def: "local", help: "who decides whether a file opened with O_EXCL, or a directory, is new: this machine, or the bucket, which takes a request"},
		{name: "lock", arg: "none|objects", def: "none", help: "lock an object in the bucket before it is replaced or removed, at two requests more; for buckets without versioning, on all hosts"},
		{name: "exclusive", help: "nobody else writes below the prefix: leave out the look before an overwrite"},
	}
	cacheOptions = []option{
		{name: "cache-dir", arg: "DIR", help: "cache folder; when absent a folder of its own for each bucket in $XDG_CACHE_HOME/ossencfs, for root in /var/cache/ossencfs"},
		{name: "cache-size", arg: "SIZE", def: "10GiB", help: "most bytes of content in the cache folder, at least 16MiB; the index beside it is not counted. Files may be larger when they are written from front to back, up to 10,000 times a 64th of it"},
	}
	logOptions = []option{
		{name: "log-file", arg: "FILE", help: "log of a background mount; ossencfs.log in the cache folder when absent"},
		{name: "log-level", arg: "debug|info|warn|error", def: "warn", help: "what is logged; debug has a line for each request to OSS"},
	}
	fileOptions = [][]option{generalOptions, bucketOptions, keyOptions, hostOptions, trustOptions, transferOptions, mountOptions, cacheOptions, logOptions}
)

// newVolumeOption is on the command line only: in a file it would turn a removed record into a new volume.
var newVolumeOption = option{name: "new-volume", cli: true}

// optional reports whether the value may be left out.
func (o *option) optional() bool { return strings.HasPrefix(o.arg, "[") }

// join puts groups of options together.
func join(groups ...[]option) []option { return slices.Concat(groups...) }

// findOption finds an option by its name.
func findOption(options []option, name string) *option {
	i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
	if i < 0 {
		return nil
	}
	return &options[i]
}
