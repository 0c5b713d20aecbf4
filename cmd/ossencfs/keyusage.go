package main

// keyOverview is what `ossencfs help key` prints.
const keyOverview = `usage: ossencfs key COMMAND oss://BUCKET[/PREFIX] [options]

Manages the volume of a bucket: the secret, made by the first mount, under which every object is sealed. The bucket holds it as a
record with *slots*, one for each master key that opens it, and for recovery codes.

    ossencfs key list oss://BUCKET                   volume keys, their slots, write-only hosts
    ossencfs key check oss://BUCKET                  does the key open everything, and what is missing
    ossencfs key add oss://BUCKET ...                let another RSA or KMS key open the volume, or a recovery code
    ossencfs key remove oss://BUCKET KEYID           take a slot away
    ossencfs key rotate oss://BUCKET ...             a new master key, a new volume key
    ossencfs key export oss://BUCKET FILE            the records as a file, for the day somebody removes them
    ossencfs key import oss://BUCKET FILE            put them back
    ossencfs key bind oss://BUCKET                   bind the records to the bucket: after an upgrade, or in a copied or renamed bucket
    ossencfs key retire-epoch oss://BUCKET EPOCH     let nothing count that is still sealed under an old volume key
    ossencfs key export-host oss://BUCKET FILE ...   let a host write that cannot read
    ossencfs key remove-host oss://BUCKET HOST       take that away

A bucket that was mounted is mounted again with any key that has a slot. A bucket that holds objects of others and was never mounted
by ossencfs gets its volume by --new-volume of mount or put; from one that was mounted, the record was then removed, and import puts
it back. Losing the record and all copies of it loses no file: each opens through its own headers too, as the SDKs open it and as
--accept-foreign does, but none is authentic any more.

Records are bound to the bucket and directory in which they were made: those of another bucket of yours, brought here by whoever can write
to this one, do not count, and a further volume key counts when one that is known vouches for it.

example:
    ossencfs key add oss://my-bucket --region cn-hangzhou --rsa-key ~/oss-key.pem --recovery > /dev/usb/oss-recovery-code
    ossencfs key check oss://my-bucket --region cn-hangzhou --rsa-key ~/oss-key.pem
`

// manageUsage is the part of manuals that all key commands share.
const manageUsage = bucketUsage + keyUsage + `
the volume:
    --recovery-code             open it with the recovery code, which is asked for
    --recovery-code-file FILE   open it with the recovery code in a file
    --volume-id ID              volume key that must be there, for the first use on a new machine; may be repeated
`

// newKeyUsage is the part of manuals about a key that is added.
const newKeyUsage = `    --new-rsa-key FILE          the private key that is added
    --new-kms-key ID            the KMS key that is added
    --new-key-passphrase-file FILE, --new-key-passphrase-env NAME, --new-key-passphrase-command LINE
                                passphrase of the RSA key that is added, or of the KMS encryption context; else it is asked for
`

const keyListUsage = `usage: ossencfs key list oss://BUCKET[/PREFIX] [options]

Shows the volume keys of a bucket, with their slots and write-only hosts. With a master key or a recovery code also what it opens;
without one nothing is verified.

    --json                      one JSON object
` + manageUsage + `
example:
    ossencfs key list oss://my-bucket --region cn-hangzhou --rsa-key ~/oss-key.pem
`

const keyCheckUsage = `usage: ossencfs key check oss://BUCKET[/PREFIX] [options]

Opens all volume keys with the master key or the recovery code, and says what is missing: volume keys that do not open, a second slot,
a recovery code, the memory of this machine. Exit code 0 when nothing is, 11 when something is, 10 when a record is not authentic, is
older than this machine knows, or was removed.
` + manageUsage + `
example:
    ossencfs key check oss://my-bucket --region cn-hangzhou --recovery-code-file <(cat /media/usb/code)
`

const keyAddUsage = `usage: ossencfs key add oss://BUCKET[/PREFIX] --new-rsa-key FILE | --new-kms-key ID | --recovery [options]

Lets a further key open the volume: all of its volume keys that open with the key or recovery code given. Files need not be written
again. With --recovery a code is made and printed, alone on the standard output, this once: 30 signs that open the volume when all
master keys are lost. Whoever has it reads everything.

    --recovery                  make a recovery code
` + newKeyUsage + manageUsage + `
example, then with the code after the key was lost:
    ossencfs key add oss://my-bucket --region cn-hangzhou --rsa-key ~/oss-key.pem --recovery
    ossencfs keygen ~/new.pem
    ossencfs key add oss://my-bucket --region cn-hangzhou --recovery-code --new-rsa-key ~/new.pem
`

const keyRemoveUsage = `usage: ossencfs key remove oss://BUCKET[/PREFIX] KEYID [options]

Takes the slot of a master key or recovery code away; ` + "`ossencfs key list`" + ` shows the ids. It is refused when nothing else would open a
volume key. This is no revocation: who had the key may have kept the volume keys and reads with them what is sealed under them.
` + "`ossencfs key rotate --new-epoch`" + ` keeps new files from him.

    --force                     also when only a recovery code would be left
` + manageUsage + `
example:
    ossencfs key remove oss://my-bucket rsa3072:0123456789abcdef --region cn-hangzhou --rsa-key ~/new.pem
`

const keyRotateUsage = `usage: ossencfs key rotate oss://BUCKET[/PREFIX] [--new-rsa-key FILE | --new-kms-key ID] [--new-epoch] [--rewrap] [options]

Begins with a new master key, a new volume key, or both. The new master key gets a slot in all volume keys; old files stay as they
are and open with it. With --new-epoch new files are sealed under a new volume key, which gets the slots of the one in use; a slot
cannot be made without its RSA private key, its KMS key or the recovery code, and what would lock somebody out is refused.

With --rewrap every object below PREFIX is written again: the same ciphertext, under the new master key and the volume key in use. Afterwards
the SDKs read everything with the new key alone, and the old one can go. Each byte is verified on its way, and what is not
believed is left alone (exit code 10). It is ended by Ctrl-C at any time; the same command goes on, and costs one request for each
object that is done. Before it, mount with the new key everywhere, since mounts write under the key that they were given.

    --new-epoch                 make a new volume key
    --recovery                  with a new recovery code, printed alone on the standard output; the old code opens old epochs only
    --force                     leave out the slots that cannot be made; their owners read the new files after a ` + "`key add`" + `
    --rewrap                    write all objects again, under the new key, or that of --rsa-key or --kms-key
    --limit-rate SIZE           at most so many bytes of content per second
    --workers N                 objects at a time (8)
    --skip-foreign              leave encrypted objects of others as they are
    --dry-run                   count what --rewrap would write, and write nothing
    --quiet                     no progress bar
    --accept-foreign[=PREFIX], --require-authentic, --strict    which objects are believed, as for mount
` + newKeyUsage + manageUsage + `
example:
    ossencfs key rotate oss://my-bucket --region cn-hangzhou --rsa-key ~/oss-key.pem --new-rsa-key ~/new.pem --new-epoch --rewrap
`

const keyExportUsage = `usage: ossencfs key export oss://BUCKET[/PREFIX] FILE [options]

Writes the records of the volume to FILE, which is made and must not exist. There is no secret in it: the volume keys are wrapped, as in
the bucket. ` + "`ossencfs key import`" + ` puts them back when somebody removed or changed them.
` + manageUsage + `
example:
    ossencfs key export oss://my-bucket my-bucket.volume --region cn-hangzhou --rsa-key ~/oss-key.pem
`

const keyImportUsage = `usage: ossencfs key import oss://BUCKET[/PREFIX] FILE [options]

Puts the records in FILE back. Each must open with the master key or recovery code, and none may be older than what this machine has
seen. A record in the bucket that is authentic and as new stays; what stands in its place and is not authentic is replaced. Records of another
bucket or directory are refused: in a copied or renamed bucket --from says where they come from, and they are bound to this one.

    --from oss://BUCKET[/PREFIX]   where the records were made, if not here
    --force                     also when slots are lost that were bound to the other place and whose keys are not given, and in place of a newer
                                record that a holder of the volume key made without a slot for a key that is given
` + manageUsage + `
example:
    ossencfs key import oss://my-bucket my-bucket.volume --region cn-hangzhou --rsa-key ~/oss-key.pem
`

const keyBindUsage = `usage: ossencfs key bind oss://BUCKET[/PREFIX] [--from oss://BUCKET[/PREFIX]] [options]

Binds the records of the volume to the bucket and directory in which they are. Needed once after an upgrade, for volumes made by a version that
did not bind them: until then they count only on machines that know the volume, or with --volume-id, and have no new volume keys. Mounts of that
version go on while they run, and cannot be started again afterwards. Needed, too, in a bucket that was copied or renamed: --from names the bucket and
directory that the volume was made in.

A slot is bound by its key. Those of an upgraded volume whose keys are not given open it as before, on machines that know it, until their
owners run the same command; those that were bound to another place are lost, which is refused without --force. Give further keys by
--read-rsa-key and --read-kms-key, and the recovery code.

    --from oss://BUCKET[/PREFIX]   where the records were made, if not here
    --force                     also when slots are lost
` + manageUsage + `
example:
    ossencfs key bind oss://my-bucket --region cn-hangzhou --rsa-key ~/oss-key.pem
    ossencfs key bind oss://my-copy --from oss://my-bucket --region cn-hangzhou --rsa-key ~/oss-key.pem
`

const keyRetireUsage = `usage: ossencfs key retire-epoch oss://BUCKET[/PREFIX] EPOCH [options]

Retires the volume keys up to EPOCH: what is sealed or signed under them is refused from now on, wherever it is. Without it, whoever once had such a key
and may still write to the bucket can make files that pass for authentic. It comes last in a rotation, after ` + "`key rotate --new-epoch`" + ` and a complete
` + "`key rotate --rewrap`" + `: each object is looked at before, and one that is still sealed under such a key refuses it, and so does a write-only host
that has no new bundle yet. Older versions in a versioned bucket cannot be brought back afterwards but by --undo.

Mounts take up a new volume key within 5 minutes, so that it must be 10 minutes old.

    --now                       also when it is younger, and with such hosts: no mount has been running since before, and what they write may be lost
    --force                     also when objects are still under it: they are refused from then on
    --undo                      let the volume keys of EPOCH count again
    --workers N                 objects at a time (8)
    --quiet                     no progress bar
` + manageUsage + `
example:
    ossencfs key retire-epoch oss://my-bucket 1 --region cn-hangzhou --rsa-key ~/oss-key.pem
`

const keyExportHostUsage = `usage: ossencfs key export-host oss://BUCKET[/PREFIX] FILE --name NAME [options]

Lets a host write that cannot read: it seals to the public key of the volume, and signs. FILE is what it needs, its secret, made with
mode 0600. It may write below PREFIX, or only below those that --prefix names.

    --name NAME                 name of the host, for people
    --prefix PREFIX             below PREFIX of the bucket, where it may write; may be repeated
    --rsa-public FILE           public key of the pair for the SDKs' headers of its files; that of --rsa-key when absent
` + manageUsage + `
example:
    ossencfs key export-host oss://my-bucket/backup web1.host --name web1 --prefix web1 --region cn-hangzhou --rsa-key ~/oss-key.pem
`

const keyRemoveHostUsage = `usage: ossencfs key remove-host oss://BUCKET[/PREFIX] HOST [options]

Takes the right to write from a host, named by its id or its name: its next mount is refused. What it wrote is read on. Nobody can tell
what a key signed before from what it signs later, so when the host's file may be in other hands, --stolen takes the value from all its
signatures; save what is right of its files before, by copying it in a mount.

    --stolen                    forget the host: nothing that it signed is authentic any more
` + manageUsage + `
example:
    ossencfs key remove-host oss://my-bucket web1 --region cn-hangzhou --rsa-key ~/oss-key.pem
`
