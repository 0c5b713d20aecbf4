package cipher

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/ossencfs/ossencfs/keys"
)

// EnvelopeOptions says how an envelope is written.
type EnvelopeOptions struct {
	Dialect  Dialect // empty: Both
	Size     int64   // bytes of content, for multipart uploads
	PartSize int64   // bytes of each part but the last, a multiple of 16; 0: a single PUT
}

// ErrPartSize: a part size or size that the format cannot have.
var ErrPartSize = errors.New("part size must be a positive multiple of 16 and size not negative")

// WrapEnvelope wraps a content key under the ring's primary key and returns the headers of the object, full names in lower
// case. RSA: the legacy set is wrapped with OAEP, the current one with PKCS#1 v1.5, since each reader knows that
// one only. KMS: two requests for one dialect, three for both, all at once; the current set has the form that Go and Java
// read, unless the key is bound to a passphrase, which shuts them out anyway: then it has Python's form.
func WrapEnvelope(ctx context.Context, ring *keys.Keyring, k *ContentKey, o EnvelopeOptions) (map[string]string, error) {
	if ring == nil || ring.Primary() == nil {
		return nil, fmt.Errorf("wrap content key: %w", ErrNoKey)
	}
	headers, err := wrapUnder(ctx, ring.Primary(), k, nil, o.Dialect)
	if err != nil {
		return nil, err
	}
	return headers, AddPartSizes(headers, o)
}

// PrepareContentKey draws a content key and wraps it, both ahead of the content: NewSealingUnder seals with it, and
// AddPartSizes completes the headers when the content's size is known. With KMS the key is one of GenerateDataKey.
func PrepareContentKey(ctx context.Context, ring *keys.Keyring, d Dialect) (*ContentKey, map[string]string, error) {
	if ring == nil || ring.Primary() == nil {
		return nil, nil, fmt.Errorf("prepare content key: %w", ErrNoKey)
	}
	var k *ContentKey
	var blob []byte
	var err error
	if source, ok := ring.Primary().(dataKeySource); ok {
		k, blob, err = generatedKey(ctx, source)
	} else {
		k, err = NewContentKey()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("prepare content key: %w", err)
	}
	headers, err := wrapUnder(ctx, ring.Primary(), k, blob, d)
	if err != nil {
		return nil, nil, err
	}
	return k, headers, nil
}

// dataKeySource is a master key that draws and wraps a key in one request; *keys.KMS is one.
type dataKeySource interface {
	GenerateDataKey(ctx context.Context) (key, blob []byte, err error)
}

// bindable is a master key whose wraps may be bound to a passphrase; *keys.KMS is one.
type bindable interface{ Bound() bool }

// generatedKey takes the key from the master key's own generator and the IV from here.
func generatedKey(ctx context.Context, source dataKeySource) (*ContentKey, []byte, error) {
	key, blob, err := source.GenerateDataKey(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer keys.Wipe(key)
	if len(key) != KeySize {
		return nil, nil, fmt.Errorf("data key of %d bytes, want %d", len(key), KeySize)
	}
	k, err := freshKey((*[KeySize]byte)(key))
	return k, blob, err
}

// AddPartSizes adds the headers that a multipart upload needs, which belong to the current dialect alone. Without a part
// size or a current header set it does nothing.
func AddPartSizes(headers map[string]string, o EnvelopeOptions) error {
	if o.PartSize == 0 || headers[currentKey] == "" {
		return nil
	}
	if o.PartSize < 0 || o.PartSize%blockSize != 0 || o.Size < 0 {
		return fmt.Errorf("part size %d, size %d: %w", o.PartSize, o.Size, ErrPartSize)
	}
	headers[currentDataSize] = strconv.FormatInt(o.Size, 10)
	headers[currentPartSize] = strconv.FormatInt(o.PartSize, 10)
	return nil
}

// wraps are the wrapped secrets of an envelope: what the four headers say, before their encoding.
type wraps struct {
	legacyKey, legacyStart, currentKey, currentStart []byte
}

// wrapUnder wraps a content key. keyBlob is the key's KMS blob where there is one already.
func wrapUnder(ctx context.Context, master keys.MasterKey, k *ContentKey, keyBlob []byte, d Dialect) (map[string]string, error) {
	d, err := ParseDialect(string(d))
	if err != nil {
		return nil, err
	}
	var w wraps
	if master.Supports(keys.KMSText) {
		w, err = wrapByKMS(ctx, master, k, keyBlob, d)
	} else {
		w, err = wrapByRSA(ctx, master, k, d)
	}
	if err != nil {
		return nil, fmt.Errorf("wrap content key: %w", err)
	}
	return assemble(master, d, w)
}

// wrapByRSA wraps key and start once for each dialect.
func wrapByRSA(ctx context.Context, master keys.MasterKey, k *ContentKey, d Dialect) (w wraps, err error) {
	wrap := func(s keys.Scheme, secret []byte) []byte {
		if err != nil {
			return nil
		}
		var blob []byte
		blob, err = master.Wrap(ctx, s, secret)
		return blob
	}
	if d.legacy() {
		w.legacyKey = wrap(keys.OAEP, k.key[:])
		w.legacyStart = wrap(keys.OAEP, []byte(decimal(k.iv)))
	}
	if d.current() {
		w.currentKey = wrap(keys.PKCS1, k.key[:])
		w.currentStart = wrap(keys.PKCS1, k.iv[:])
	}
	return w, err
}

// wrapByKMS asks for all blobs at once; both dialects share that of the key.
func wrapByKMS(ctx context.Context, master keys.MasterKey, k *ContentKey, keyBlob []byte, d Dialect) (w wraps, err error) {
	g, ctx := errgroup.WithContext(ctx)
	wrap := func(to *[]byte, text string) {
		g.Go(func() (err error) {
			*to, err = master.Wrap(ctx, keys.KMSText, []byte(text))
			return err
		})
	}
	if keyBlob == nil {
		wrap(&keyBlob, base64.StdEncoding.EncodeToString(k.key[:]))
	}
	if d.legacy() {
		wrap(&w.legacyStart, decimal(k.iv))
	}
	if d.current() {
		wrap(&w.currentStart, base64.StdEncoding.EncodeToString(k.iv[:]))
	}
	if err := g.Wait(); err != nil {
		return wraps{}, err
	}
	w.legacyKey, w.currentKey = keyBlob, keyBlob
	return w, nil
}

// assemble writes the headers.
func assemble(master keys.MasterKey, d Dialect, w wraps) (map[string]string, error) {
	encode := base64.StdEncoding.EncodeToString
	headers := make(map[string]string, 12)
	isKMS := master.Supports(keys.KMSText)
	if d.legacy() {
		headers[legacyCEK] = cekGCM
		if isKMS {
			headers[legacyKey], headers[legacyStart], headers[legacyWrap] = string(w.legacyKey), string(w.legacyStart), wrapKMS
		} else {
			headers[legacyKey], headers[legacyStart], headers[legacyWrap] = encode(w.legacyKey), encode(w.legacyStart), wrapRSA
		}
	}
	if !d.current() {
		return headers, nil
	}
	bound := false
	if b, ok := master.(bindable); ok {
		bound = b.Bound()
	}
	headers[currentCEK] = cekCTR
	switch {
	case isKMS && !bound: // form B
		headers[currentKey], headers[currentStart], headers[currentWrap] = string(w.currentKey), string(w.currentStart), wrapAliCloud
	case isKMS: // form A
		headers[currentKey], headers[currentStart], headers[currentWrap] = encode(w.currentKey), encode(w.currentStart), wrapAliCloud
	default:
		headers[currentKey], headers[currentStart], headers[currentWrap] = encode(w.currentKey), encode(w.currentStart), wrapPKCS1
	}
	text, err := MatDescText(master.MatDesc())
	if err != nil {
		return nil, err
	}
	if text != "" {
		headers[currentMatDesc] = text
	}
	return headers, nil
}

// maxDecimals is the most digits that data-size and part-size have in EnvelopeSize: OSS ends at 48.8 TB and 5 GB.
const maxDecimals = 14 + 10

// EnvelopeSize is the number of bytes that the headers of an envelope take of OSS's 8 KB, names and values, multipart
// headers included. For RSA it is exact but for those; for KMS it rests on the longest blob seen so far.
func EnvelopeSize(master keys.MasterKey, d Dialect) (int, error) {
	d, err := ParseDialect(string(d))
	if err != nil {
		return 0, err
	}
	scheme := keys.OAEP
	if master.Supports(keys.KMSText) {
		scheme = keys.KMSText
	}
	blob := make([]byte, master.WrappedSize(scheme, KeySize))
	headers, err := assemble(master, d, wraps{blob, blob, blob, blob})
	if err != nil {
		return 0, err
	}
	size := HeadersSize(headers)
	if d.current() {
		size += len(currentDataSize) + len(currentPartSize) + maxDecimals
	}
	return size, nil
}

// HeadersSize is the number of bytes of all names and values, as OSS counts its 8 KB.
func HeadersSize(headers map[string]string) int {
	size := 0
	for name, value := range headers {
		size += len(name) + len(value)
	}
	return size
}
