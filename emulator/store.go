package emulator

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const stripes = 256

// store keeps buckets, objects and uploads, in memory or in a folder.
//
//	DIR/lock                                     held while a server runs
//	DIR/emulator.json                            access key, KMS keys
//	DIR/buckets/NAME/bucket.json
//	DIR/buckets/NAME/objects/HH/HASH-REV         records
//	DIR/blobs/HH/ID                              large bodies and parts
//	DIR/uploads/ID/upload.json, part-NNNNN.json
type store struct {
	dir     string
	lock    *os.File
	seq     atomic.Uint64
	nextID  atomic.Uint64
	idBase  string
	seed    maphash.Seed
	stripes [stripes]sync.Mutex // one write of a key at a time

	mu      sync.RWMutex // mu guards the maps below
	buckets map[string]*bucket
	uploads map[string]*upload
}

// bucket is a named set of keys.
type bucket struct {
	name string

	mu     sync.RWMutex // mu guards the fields below
	config bucketConfig
	keys   ordered[[]*version] // newest version first; never an empty list
	gone   bool

	history *History // told of every change; nil: nobody records
}

// bucketConfig is what bucket.json holds.
type bucketConfig struct {
	Created    time.Time `json:"created"`
	ACL        string    `json:"acl"`
	Class      string    `json:"class"`
	Versioning string    `json:"versioning,omitempty"` // "", Enabled or Suspended
}

// openStore opens or makes the store in dir; "" is memory.
func openStore(dir string, warn func(msg string, err error)) (*store, error) {
	var base [6]byte
	if _, err := rand.Read(base[:]); err != nil {
		return nil, fmt.Errorf("draw an id: %w", err)
	}
	st := &store{
		dir: dir, idBase: hex.EncodeToString(base[:]), seed: maphash.MakeSeed(),
		buckets: map[string]*bucket{}, uploads: map[string]*upload{},
	}
	if dir == "" {
		return st, nil
	}
	for _, sub := range []string{"", "buckets", "blobs", "uploads"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("make emulator folder: %w", err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of emulator folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("emulator folder %s is in use by another emulator: %w", dir, err)
	}
	st.lock = lock
	if err := st.load(warn); err != nil {
		lock.Close()
		return nil, err
	}
	return st, nil
}

func (st *store) close() error {
	if st.lock == nil {
		return nil
	}
	return st.lock.Close()
}

// newID returns a name that no other blob or upload of this folder has.
func (st *store) newID() string {
	return fmt.Sprintf("%s%08x", st.idBase, st.nextID.Add(1))
}

func (st *store) blobPath(id string) string {
	return filepath.Join(st.dir, "blobs", id[len(id)-2:], id)
}

func (st *store) bucketDir(name string) string { return filepath.Join(st.dir, "buckets", name) }

func (st *store) recordPath(bucket, key string, rev uint64) string {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:12])
	return filepath.Join(st.bucketDir(bucket), "objects", name[:2], name+"-"+strconv.FormatUint(rev, 16))
}

// stripe is the lock under which a key of a bucket is written.
func (st *store) stripe(bucket, key string) *sync.Mutex {
	return &st.stripes[maphash.String(st.seed, bucket+"/"+key)%stripes]
}

func (st *store) bucket(name string) (*bucket, error) {
	st.mu.RLock()
	b := st.buckets[name]
	st.mu.RUnlock()
	if b == nil {
		return nil, errNoSuchBucket(name)
	}
	return b, nil
}

// createBucket makes a bucket, or returns the one that is there.
func (st *store) createBucket(name string, c bucketConfig) (*bucket, bool, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if b := st.buckets[name]; b != nil {
		return b, false, nil
	}
	b := &bucket{name: name, config: c}
	if err := st.saveBucket(b); err != nil {
		return nil, false, err
	}
	st.buckets[name] = b
	return b, true, nil
}

func (st *store) saveBucket(b *bucket) error {
	if st.dir == "" {
		return nil
	}
	data, err := json.Marshal(b.config)
	if err != nil {
		return fmt.Errorf("encode bucket %q: %w", b.name, err)
	}
	if err := writeFile(filepath.Join(st.bucketDir(b.name), "bucket.json"), data); err != nil {
		return fmt.Errorf("save bucket %q: %w", b.name, err)
	}
	return nil
}

// configure changes a bucket's configuration.
func (st *store) configure(b *bucket, change func(*bucketConfig)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.config
	change(&b.config)
	if err := st.saveBucket(b); err != nil {
		b.config = old
		return err
	}
	return nil
}

// deleteBucket removes an empty bucket.
func (st *store) deleteBucket(name string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	b := st.buckets[name]
	if b == nil {
		return errNoSuchBucket(name)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	busy := b.keys.Len() > 0
	for _, u := range st.uploads {
		busy = busy || u.Bucket == name
	}
	if busy {
		return refuse(409, "BucketNotEmpty", ecBucketNotEmpty, "The bucket has objects or uploads. Please delete them first.").with("BucketName", name)
	}
	if st.dir != "" {
		if err := os.RemoveAll(st.bucketDir(name)); err != nil {
			return fmt.Errorf("remove bucket %q: %w", name, err)
		}
	}
	b.gone = true
	delete(st.buckets, name)
	return nil
}

// versioned returns "", "Enabled" or "Suspended".
func (b *bucket) versioned() string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.config.Versioning
}

// latest returns the newest version of a key, delete markers included, or nil; the caller releases it.
func (b *bucket) latest(key string) *version { return b.find(key, "") }

// find returns the version with this id ("" for the newest), or nil; the caller releases it.
func (b *bucket) find(key, id string) *version {
	b.mu.RLock()
	defer b.mu.RUnlock()
	list, _ := b.keys.Get(key)
	for _, v := range list {
		if id == "" || v.Version == id {
			v.acquire()
			return v
		}
	}
	return nil
}

// put makes v the newest version of its key: beside the others when versioning is enabled, otherwise in
// the place of the null version. It takes over v's references. The caller holds the key's stripe.
func (st *store) put(b *bucket, v *version) error {
	versioning := b.versioned()
	v.Seq = st.seq.Add(1)
	v.Version = nullVersion
	if versioning == "Enabled" {
		v.Version = versionID(v.Seq)
	}
	if err := st.save(b.name, v); err != nil {
		v.release()
		return err
	}
	return st.install(b, v, func(list []*version) (keep, drop []*version) {
		keep = append(keep, v)
		for _, old := range list {
			if v.Version == nullVersion && old.Version == nullVersion {
				drop = append(drop, old)
			} else {
				keep = append(keep, old)
			}
		}
		return keep, drop
	})
}

// replace puts v in the place of the version with its id, as a change of tags or ACL does. It takes over
// v's references. The caller holds the key's stripe, and v.Seq must order it where old was.
func (st *store) replace(b *bucket, old, v *version) error {
	if err := st.save(b.name, v); err != nil {
		v.release()
		return err
	}
	return st.install(b, v, func(list []*version) (keep, drop []*version) {
		for _, o := range list {
			if o.Version == old.Version {
				keep, drop = append(keep, v), append(drop, o)
			} else {
				keep = append(keep, o)
			}
		}
		return keep, drop
	})
}

// install swaps v in, or drops it when the bucket is gone.
func (st *store) install(b *bucket, v *version, change func([]*version) (keep, drop []*version)) error {
	err := st.swap(b, v.Key, change)
	if err != nil {
		v.release()
	}
	return err
}

// remove takes one version away; the caller holds the key's stripe.
func (st *store) remove(b *bucket, key, id string) error {
	return st.swap(b, key, func(list []*version) (keep, drop []*version) {
		for _, v := range list {
			if v.Version == id {
				drop = append(drop, v)
			} else {
				keep = append(keep, v)
			}
		}
		return keep, drop
	})
}

// swap replaces the list of versions of a key; lists are immutable, since readers hold them.
func (st *store) swap(b *bucket, key string, change func([]*version) (keep, drop []*version)) error {
	b.mu.Lock()
	if b.gone {
		b.mu.Unlock()
		return errNoSuchBucket(b.name)
	}
	list, _ := b.keys.Get(key)
	keep, drop := change(list)
	if len(keep) == 0 {
		b.keys.Delete(key)
	} else {
		b.keys.Set(key, keep)
	}
	if b.history != nil {
		b.history.add(key, keep)
	}
	b.mu.Unlock()
	for _, v := range drop {
		v.release()
	}
	return nil
}

// versionID renders a sequence number as an opaque id that sorts newest first.
func versionID(seq uint64) string { return fmt.Sprintf("CAEQ%016x", ^seq) }
