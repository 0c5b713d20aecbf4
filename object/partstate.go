package object

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ossencfs/ossencfs/oss"
)

// ErrState says that the saved state of a multipart upload cannot be read.
var ErrState = errors.New("saved state of a multipart upload is damaged")

// csePrefix begins the headers that OSS checks in client-side encrypted uploads and wants repeated on each part.
const csePrefix = metaPrefix + "client-side-encryption-"

const (
	partStateVersion = 1
	partUnit         = 1 << 20 // part sizes are multiples of it; a multiple of the cipher's 16-byte block
	maxObjectSize    = 48_800_000_000_000
)

// partState is what a later attempt needs to go on with a multipart upload. The parts that are done are not in it:
// ListParts knows them better. It holds no secret; the content key in Envelope is wrapped.
type partState struct {
	Version    int               `json:"v"`
	FullKey    []byte            `json:"key"`      // base64 in JSON, since keys need not be UTF-8
	UploadID   string            `json:"oss"`      // OSS's name of the multipart upload
	Upload     string            `json:"upload"`   // our id of the PUT
	Generation string            `json:"gen"`      // generation of the sealed body
	Size       int64             `json:"size"`     // of the whole body
	PartSize   int64             `json:"part"`     // of all parts but the last
	IfAbsent   bool              `json:"absent"`   // whether Complete must not overwrite
	Envelope   map[string]string `json:"envelope"` // headers to repeat on each part
}

// marshal is the state as bytes.
func (s *partState) marshal() ([]byte, error) {
	p, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("save multipart upload: %w", err)
	}
	return p, nil
}

// parsePartState reads what marshal writes and checks that an upload can follow it.
func parsePartState(p []byte) (*partState, error) {
	var s partState
	if err := json.Unmarshal(p, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	_, errUpload := ParseID(s.Upload)
	_, errGen := ParseID(s.Generation)
	switch {
	case s.Version != partStateVersion:
		return nil, fmt.Errorf("%w: version %d", ErrState, s.Version)
	case len(s.FullKey) == 0 || len(s.FullKey) > oss.MaxKeyLen || s.UploadID == "" || errUpload != nil || errGen != nil:
		return nil, fmt.Errorf("%w: incomplete", ErrState)
	case s.Size <= 0 || s.Size > maxObjectSize || s.PartSize < oss.MinPart || s.PartSize > oss.MaxPutSize || s.PartSize%16 != 0:
		return nil, fmt.Errorf("%w: %d bytes in parts of %d", ErrState, s.Size, s.PartSize)
	case s.parts() > oss.MaxParts:
		return nil, fmt.Errorf("%w: %d parts", ErrState, s.parts())
	}
	for name := range s.Envelope {
		if !strings.HasPrefix(name, csePrefix) {
			return nil, fmt.Errorf("%w: header %.60q", ErrState, name)
		}
	}
	return &s, nil
}

// parts is the number of parts.
func (s *partState) parts() int { return int((s.Size + s.PartSize - 1) / s.PartSize) }

// span is the place of part n, counted from 1, in the body.
func (s *partState) span(n int) (off, size int64) {
	off = int64(n-1) * s.PartSize
	return off, min(s.PartSize, s.Size-off)
}

// partSizeFor is the smallest allowed part size, not below want, that divides size into at most 10,000 parts.
func partSizeFor(size, want int64) int64 {
	least := max(want, (size+oss.MaxParts-1)/oss.MaxParts)
	return min((least+partUnit-1)/partUnit*partUnit, oss.MaxPutSize)
}

// repeated is the part of an envelope that each UploadPart carries again.
func repeated(envelope map[string]string) map[string]string {
	h := make(map[string]string, len(envelope))
	for name, value := range envelope {
		if strings.HasPrefix(name, csePrefix) {
			h[name] = value
		}
	}
	return h
}
