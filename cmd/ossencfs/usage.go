package main

// overview is what `ossencfs help` prints.
const overview = `ossencfs mounts an Alibaba Cloud OSS bucket as a directory. Every file is encrypted on this machine in the format of
OSS client-side encryption, so the official SDKs read what it writes and it reads what they wrote.

usage:
    ossencfs mount oss://BUCKET[/PREFIX] DIR [options]   mount a bucket
    ossencfs umount [--now] DIR                          upload what is pending, then unmount
    ossencfs upgrade DIR                                 go on with this binary, files stay open
    ossencfs status [--json] [--watch] [DIR]             mounts, pending uploads, rates, errors, cache
    ossencfs sync PATH                                   return when the bucket has all of PATH
    ossencfs put FILE oss://BUCKET/KEY [options]         encrypt and upload one file, no mount needed
    ossencfs get oss://BUCKET/KEY FILE [options]         download and decrypt one object
    ossencfs inspect oss://BUCKET/KEY [options]          show how an object is encrypted, no key needed
    ossencfs verify PATH|oss://BUCKET[/PREFIX] [options] look for what was changed, lost or left over in the bucket
    ossencfs keygen FILE [options]                       make an RSA key
    ossencfs key COMMAND oss://BUCKET [options]          slots, recovery codes, rotation, hosts: ` + "`ossencfs help key`" + `
    ossencfs demo DIR [-- COMMAND...]                    try it: a mount on an emulated bucket, no account needed
    ossencfs emulator [options]                          run the OSS and KMS emulator alone
    ossencfs version                                     print the version
    ossencfs help [COMMAND]                              this text, or the manual of a command

example:
    ossencfs keygen ~/oss-key.pem
    export OSS_ACCESS_KEY_ID=... OSS_ACCESS_KEY_SECRET=...
    ossencfs mount oss://my-bucket /mnt/bucket --region cn-hangzhou --rsa-key ~/oss-key.pem
    cp -a ~/documents /mnt/bucket/
    ossencfs umount /mnt/bucket
`

// bucketUsage is the part of manuals that all commands with a bucket share.
const bucketUsage = `
bucket and credentials:
    --endpoint URL              endpoint of OSS (or OSS_ENDPOINT); made from the region when absent
    --allow-http                let it, or that of KMS, be http:// to another machine
    --region REGION             region as cn-hangzhou (or OSS_REGION)
    --internal, --accelerate    the endpoint inside Alibaba Cloud, or the accelerated one
    --addressing auto|virtual|path|cname, --sign-version v4|v1, --proxy URL, --ca-file FILE
    --credentials SOURCE        auto (default), env, ossutil[:PROFILE], aliyun[:PROFILE], ecs[:ROLE], oidc, command:LINE
    --role-arn ARN              RAM role to assume with them
    --config FILE               configuration file instead of ~/.config/ossencfs/config.toml, /etc/ossencfs.toml
    auto reads OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN, then the files of ossutil and the aliyun
    CLI, then the role of the ECS instance. Without region and endpoint, those files say where the bucket is.
`

// keyUsage is the part of manuals about master keys.
const keyUsage = `
master key:
    --rsa-key FILE              RSA key in PEM, 2048 to 4096 bits; a key folder of the Python SDK works once closed
    --kms-key ID                key in Alibaba Cloud KMS, instead of --rsa-key
    --kms-endpoint URL, --kms-region REGION
    --read-rsa-key FILE, --read-kms-key ID     further keys for reading, may be repeated
    --key-passphrase-file FILE, --key-passphrase-env NAME, --key-passphrase-command LINE
                                passphrase of the RSA key, or of the KMS encryption context; else it is asked for
    --matdesc NAME=VALUE        description of the key, may be repeated
    --dialect both|current|legacy   header sets to write (both)
    --box full|tags-only        tags-only leaves content keys out of boxes: each file then costs an operation of the master key
    --kms-qps N                 calls to KMS per second at most (300)
`

// hostUsage is the part of the manual of mount about hosts that cannot read.
const hostUsage = `
write-only host, instead of a master key (docs/WRITE-ONLY.md):
    --host-bundle FILE          bundle of ` + "`ossencfs key export-host`" + `: this host writes, and reads nothing that is in the bucket
    --machine-key file|systemd-creds    what keeps the key of its cache (file)
    --machine-key-file FILE     (machine.key in the cache folder)
`

// trustUsage is the part of manuals about who wrote the objects.
const trustUsage = `
what others wrote (in a volume that was empty at first it is refused; docs/CONFIGURATION.md, "Trust"):
    --accept-foreign[=PREFIX]   read it too, everywhere or below a prefix of the bucket; may be repeated
    --require-authentic         refuse it in any bucket
    --strict                    refuse objects that somebody else renamed
    --volume-id ID              volume key that must be there, for the first use on a new machine; may be repeated
`

// transferUsage is the part of manuals about uploads in parts.
const transferUsage = `
uploads:
    --multipart-threshold SIZE, --part-size SIZE
`

const mountUsage = `usage: ossencfs mount oss://BUCKET[/PREFIX] DIR [options]

Mounts a bucket. The command returns when the mount answers; the mount goes on in the background. Write to DIR like to a
disk: close is safe against a crash of this program, fsync against a power cut, and uploads follow within seconds.

    --foreground                stay in the foreground; Ctrl-C uploads what is pending and unmounts
    --new-volume                begin in a bucket that holds objects of others, see ` + "`ossencfs help key`" + `
    --read-only                 refuse every change
    --prefix PREFIX             mount only what is below it
    --allow-other               let other users in; the kernel checks modes and owners
    --uid UID, --gid GID, --umask OCTAL    for objects that do not say whose they are
    --nonempty                  mount on a folder that is not empty
    --suid, --dev, --noexec     honour set-user-id bits, device files; run no programs (root only)
    -o NAME[=VALUE],...         any of these options, as in fstab
cache:
    --cache-dir DIR             cache folder, one for each mount (default: one in ~/.cache/ossencfs per bucket)
    --cache-size SIZE           most bytes of content in it (10GiB)
when uploads happen:
    --fsync local|remote        what fsync waits for: this machine's disk (default), or the bucket
    --close local|remote        what close waits for
    --settle DURATION           a file is uploaded this long after its last change (2s)
    --workers N                 uploads at a time (16)
others in the bucket:
    --metadata-ttl DURATION     directories are listed again after this time (1m)
    --exclusive-create local|remote   who decides whether what O_EXCL and mkdir make is new: this machine, or the bucket
    --lock none|objects         lock in the bucket what is replaced or removed, where others write too; two requests more
    --exclusive                 nobody else writes here: saves a request before an overwrite
    --late-limit DURATION       longest time after which a lost request may still take effect (2m)
log:
    --log-file FILE             (ossencfs.log in the cache folder)
    --log-level debug|info|warn|error   (warn)
kernel:
    --writeback                 let the kernel collect small writes; a killed daemon loses what was not fsynced
` + bucketUsage + keyUsage + hostUsage + trustUsage + transferUsage + `
Sizes are bytes or carry a unit: 64MiB, 10GiB. Every option can stand in the configuration file and in the environment
(OSSENCFS_CACHE_SIZE); docs/CONFIGURATION.md has them all.

example, then as a line of /etc/fstab:
    ossencfs mount oss://my-bucket/backup /mnt/backup --region cn-hangzhou --rsa-key ~/oss-key.pem
    oss://my-bucket/backup /mnt/backup fuse.ossencfs _netdev,allow_other,region=cn-hangzhou,rsa_key=/etc/ossencfs/key.pem 0 0
`

const upgradeUsage = `usage: ossencfs upgrade DIR

Goes on with the mount on DIR with the program that runs this command, for example after a package was updated. The mount
stays: files stay open, programs in it only wait. The new program is asked first whether it can go on; when it cannot, or
fails to, the one that made the mount does. Its small supervisor stays the old one until the mount ends.

example:
    ossencfs upgrade /mnt/backup
`

const umountUsage = `usage: ossencfs umount [--now] [--timeout DURATION] DIR

Unmounts DIR, uploads what is pending, with a progress bar or a line every ten seconds, and returns when the bucket has everything, or refuses
what is left: then it says what, and the exit code is 3. Ctrl-C ends only this command: the uploads go on.

    --now                       do not upload; say how many files are left. The next mount with the same cache
                                folder uploads them. The exit code is 3 when some are left
    --timeout DURATION          upload for so long, and then do as --now does

example:
    ossencfs umount /mnt/bucket
`

const statusUsage = `usage: ossencfs status [--json] [--watch] [--check] [DIR]

Shows the mounts of this user, or the one at DIR: pending files and bytes, rates, the last errors, the cache, the volume, and what
in the bucket was not believed. Mounts that have ended with something left, and those whose processes are gone, are listed too.

    --json                      one JSON object: {"mounts": [...], "idle": [...], "dead": [...]}
    --watch                     show it again every second until Ctrl-C
    --check                     show nothing; exit code 3 while anything is not in the bucket yet, that of mounts which have ended
                                included, 8 where the processes of a mount are gone, 0 when all is well

example:
    ossencfs status --watch
`

const syncUsage = `usage: ossencfs sync [--timeout DURATION] PATH

Returns when the bucket has everything at and below PATH in a mount: content, attributes, names and removals. Uploads
start at once. A lost network is waited for, and a line every ten seconds, or the progress bar, says why it takes time; Ctrl-C ends only the
waiting. When the bucket refuses all that is left, it says what and why, and the exit code is 3.

    --timeout DURATION          wait for so long at most; the exit code is 3 when something is left

example:
    ossencfs sync /mnt/bucket/photos
`

const putUsage = `usage: ossencfs put FILE oss://BUCKET/KEY [options]

Encrypts FILE and uploads it as one object, with its mode, owner and modification time, without a mount. A KEY that ends
in / gets the name of FILE. An object of that name is replaced; tags and headers that others gave it stay.

    --quiet                     no progress bar
    --new-volume                begin in a bucket that holds objects of others, see ` + "`ossencfs help key`" + `
` + bucketUsage + keyUsage + trustUsage + transferUsage + `
example:
    ossencfs put backup.tar oss://my-bucket/backups/ --region cn-hangzhou --rsa-key ~/oss-key.pem
`

const getUsage = `usage: ossencfs get oss://BUCKET/KEY FILE [options]

Downloads one object and decrypts it into FILE, which appears when it is whole; "-" is the standard output. When FILE is
a directory, the object's name is used in it. Objects that were never encrypted are read too. FILE gets mode and time of an
object that a key holder wrote, without set-user-id bits; the file of any other object is for you alone (mode 0600).

    --quiet                     no progress bar
    --force                     replace FILE when it exists
` + bucketUsage + keyUsage + trustUsage + `
example:
    ossencfs get oss://my-bucket/backups/backup.tar . --region cn-hangzhou --rsa-key ~/oss-key.pem
`

const inspectUsage = `usage: ossencfs inspect oss://BUCKET/KEY [options]

Shows how an object is encrypted: header sets, algorithms, description of the key, sizes, attributes. With a master key also
whether it is authentic, of which volume, and under which key. Without one nothing is verified.

    --json                      one JSON object
    --no-key                    use no key, also where the configuration names one
` + bucketUsage + keyUsage + trustUsage + `
example:
    ossencfs inspect oss://my-bucket/backups/backup.tar --region cn-hangzhou
`

const verifyUsage = `usage: ossencfs verify PATH|oss://BUCKET[/PREFIX] [options]

Compares what the bucket holds with what was sealed. A PATH in a mount is verified by the mount, which also knows what this
machine uploaded: older versions that came back, objects that are gone. Without a mount the command needs the keys. Exit
code 0: nothing is damaged; 10: something is.

    --deep                      read and verify every byte; else only headers, attributes and tags are looked at
    --repair                    mend what can be mended: upload again what a mount's cache holds whole, write lost leaf tags
                                again, remove stray leaf tags, abort old unfinished uploads. Content is never deleted
    --resume                    go on where the same verification was interrupted
    --json                      a line of JSON for each finding as it is found, and the report last
    --quiet                     no progress bar
    --workers N                 requests at a time (16)
    --limit-rate SIZE           read at most so many bytes per second

damage:
    tampered, checksum          box, headers, size or bytes do not fit together
    stripped, unauthentic       an object without a box that can be verified: it had one, or this volume accepts none
    marker, tag                 of a directory or of later attributes, not made by a key holder; ignored
    rolled-back, vanished       an older version came back, an object is gone that was not deleted here (mounts only)
    undecryptable, unreadable   no key opens it; OSS does not hand it out
    leaf-missing, leaf-wrong    tags of a large object are lost: its ranges cost more to read
    record, nested-volume       a volume record is forged or missing; another volume begins below
    misplaced                   with --strict: under a name that it is not bound to
information:
    foreign, plain              accepted objects of others
    moved, outside              copied or renamed, or written, by somebody else
    attributes                  plain headers that differ from what was sealed; ignored
    name, symlink               cannot be shown in a mount
    stray-leaf, orphan, hidden, stale-upload     left over in the hidden area, or unfinished for a day
` + bucketUsage + keyUsage + trustUsage + `
example:
    ossencfs verify /mnt/bucket --deep
    ossencfs verify oss://my-bucket/backup --region cn-hangzhou --rsa-key ~/oss-key.pem --deep --limit-rate 50MiB
`

const keygenUsage = `usage: ossencfs keygen FILE [options]

Makes an RSA key: the private key in FILE (PEM, mode 0600), the public key in FILE.pub. Existing files are never replaced.
Whoever loses the private key loses the files: keep a copy where the bucket is not.

    --bits 2048|3072|4096       size of the key (3072)
    --passphrase                protect the file with a passphrase, which is asked for
    --key-passphrase-file FILE, --key-passphrase-env NAME, --key-passphrase-command LINE
                                protect the file with the passphrase from there

example:
    ossencfs keygen ~/oss-key.pem
`

const demoUsage = `usage: ossencfs demo DIR [-- COMMAND...]

Tries everything without an account: starts an emulated OSS, makes a key, and mounts the emulated bucket on DIR, which is
made when missing. Stays until Ctrl-C, then uploads what is pending and unmounts. All state is in DIR.demo, and the next
demo on DIR finds the files again. With a COMMAND, runs that in DIR instead and ends with its exit code.

example:
    ossencfs demo /tmp/bucket
    ossencfs demo /tmp/bucket -- sh -c 'echo hello > motto.txt; ls -l'
`

const emulatorUsage = `usage: ossencfs emulator [options]

Runs the emulator of OSS and KMS until Ctrl-C. When it is ready it prints one line of JSON with the endpoints (oss, kms),
access_key_id, access_key_secret, kms_key_id and region. Request counts are at GET /-/requests (DELETE resets them), faults
are ordered at POST /-/faults; these requests are not signed, and every account of this machine can make them.

    --listen ADDRESS            address of the HTTP listener (127.0.0.1:0: a free port)
    --dir DIR                   keep buckets and keys there over restarts; without it they live in memory
    --bucket NAME               bucket to make at start, may be repeated
    --region REGION             region of signatures (cn-hangzhou)
    --access-key-id ID, --access-key-secret SECRET    instead of generated ones
    --kms-key-id ID             id of the KMS key
    --tls                       serve HTTPS too; the line then has oss_tls, kms_tls and ca_file
    --tls-listen ADDRESS        address of the HTTPS listener
    --tls-name NAME             further name in its certificate, may be repeated
    --cname HOST=BUCKET         whole host name that stands for a bucket, may be repeated
    --versioning                make the buckets with versioning
    --accept-any-token          take any STS token together with the access key
    --plain-parts               take parts of encrypted uploads without encryption headers, as the Java and C++ SDKs send them

example:
    ossencfs emulator --listen 127.0.0.1:8000 --dir /tmp/store --bucket my-bucket
`

const versionUsage = `usage: ossencfs version

Prints the version, the commit and the Go release of this program.
`
