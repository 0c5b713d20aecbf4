package verify

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/ossencfs/ossencfs/object"
)

// TestLeafTagObjects: of a file above 128 MiB the leaf-tag object is found lost, wrong and left over, and is made again from content that
// verifies; never from other content.
func TestLeafTagObjects(t *testing.T) {
	w := newWorld(t)
	data := pattern(129*leafSize+7, 1)
	info := w.put(t, "large", data, object.Attr{})
	leaf := ".ossencfs/leaf/" + info.Generation.String()
	tags, _, err := w.server.ReadObject(bucketName, leaf)
	must(t, err)
	wantFindings(t, verify(t, w.store, object.VerifyOptions{}))
	wantFindings(t, verify(t, w.store, object.VerifyOptions{Deep: true}))
	lost := func() { must(t, w.server.RemoveObject(bucketName, leaf)) }
	for _, d := range []struct {
		name, want string
		do         func()
	}{
		{"lost", "leaf-missing large", lost},
		{"wrong", "leaf-wrong large", func() { w.flip(t, leaf, 16*100) }},
		{"shorter", "leaf-wrong large", func() {
			w.alter(t, leaf, func(_ http.Header, b []byte) []byte { return b[:len(b)-16] })
		}},
		{"longer", "leaf-wrong large", func() { w.alter(t, leaf, func(_ http.Header, b []byte) []byte { return append(b, 0) }) }},
	} {
		t.Run(d.name, func(t *testing.T) {
			d.do()
			r := verify(t, w.store, object.VerifyOptions{})
			wantFindings(t, r, d.want)
			if r.Bytes != 0 || r.Damaged() != 1 {
				t.Errorf("headers only: read %d bytes, %d damaged", r.Bytes, r.Damaged())
			}
			r = verify(t, w.store, object.VerifyOptions{Repair: true})
			if wantFindings(t, r, d.want); r.Damaged() != 0 || r.Repaired != 1 {
				t.Errorf("after the repair %d are damaged, %d repaired", r.Damaged(), r.Repaired)
			}
			if got, _, err := w.server.ReadObject(bucketName, leaf); err != nil || !bytes.Equal(got, tags) {
				t.Errorf("other leaf tags after the repair, or %v", err)
			}
			wantFindings(t, verify(t, w.store, object.VerifyOptions{}))
		})
	}
	lost()
	w.flip(t, "large", 128*leafSize+9)
	wantFindings(t, verify(t, w.store, object.VerifyOptions{Deep: true, Repair: true}), "leaf-missing large", "tampered large")
	if _, _, err := w.server.ReadObject(bucketName, leaf); err == nil {
		t.Error("leaf tags were made of content that is wrong")
	}
}
