package converge

import (
	"testing"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// TestJudgeAnew checks what is made of an object that was rewrapped since it was recorded, or since a request whose answer was lost:
// the content tells, not the upload id. A newer tag, other content or an object that is not ours is a change by others.
func TestJudgeAnew(t *testing.T) {
	body, next := index.ID{1}, index.ID{2}
	row := index.Object{Key: "k", ETag: "e", Size: 7, Upload: index.ID{10}, Generation: body, State: object.StateAuthentic}
	put := index.Pend{Key: "k", Op: index.Put, Upload: index.ID{20}, Generation: next}
	tag := index.Pend{Key: "k", Op: index.Tag, Upload: index.ID{20}, Generation: body}
	found := func(change func(*object.Info)) *object.Info {
		i := &object.Info{Key: "k", ETag: "e", Size: 7, Upload: object.ID{30}, Generation: object.ID(body), State: object.StateAuthentic}
		change(i)
		return i
	}
	for _, tt := range []struct {
		name  string
		pend  index.Pend
		found *object.Info
		want  finding
	}{
		{"the old version anew", put, found(func(*object.Info) {}), foundNotDone},
		{"the new version anew", put, found(func(i *object.Info) { i.ETag, i.Size, i.Generation = "n", 9, object.ID(next) }), foundDone},
		{"another version", put, found(func(i *object.Info) { i.ETag, i.Generation = "n", object.ID{3} }), foundOther},
		{"the old version with a newer tag", put, found(func(i *object.Info) { i.Change = 1 }), foundOther},
		{"the old version in other parts", put, found(func(i *object.Info) { i.ETag = "n-2" }), foundOther},
		{"a foreign object that says so", put, found(func(i *object.Info) { i.State = object.StateForeign }), foundOther},
		{"a tag that the rewrapping took away or never saw", tag, found(func(*object.Info) {}), foundNotDone},
	} {
		if got := judge(&tt.pend, &row, true, tt.found); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestUnchanged checks what the look of rule O lets pass.
func TestUnchanged(t *testing.T) {
	row := index.Object{Key: "k", ETag: "e", Size: 7, Upload: index.ID{10}, Generation: index.ID{1}, State: object.StateAuthentic}
	now := object.Info{Key: "k", ETag: "e", Size: 7, Upload: object.ID{10}, Generation: object.ID{1}, State: object.StateAuthentic}
	for _, tt := range []struct {
		name   string
		change func(*index.Object, *object.Info)
		want   bool
	}{
		{"as it was", func(*index.Object, *object.Info) {}, true},
		{"other content", func(_ *index.Object, i *object.Info) {
			i.ETag, i.Upload, i.Generation = "n", object.ID{30}, object.ID{3}
		}, false},
		{"other content under our tag", func(_ *index.Object, i *object.Info) { i.ETag = "n" }, false},
		{"another size", func(_ *index.Object, i *object.Info) { i.Size = 8 }, false},
		{"the same content under new headers", func(_ *index.Object, i *object.Info) { i.Upload = object.ID{30} }, false},
		{"a newer tag", func(_ *index.Object, i *object.Info) { i.Upload, i.Change = object.ID{30}, 1 }, false},
		{"only listed so far", func(o *index.Object, _ *object.Info) { o.Upload, o.State = index.ID{}, object.StateUnknown }, true},
		{"refused", func(o *index.Object, i *object.Info) { o.State, i.Upload = object.StateRefused, object.ID{30} }, true},
	} {
		o, i := row, now
		tt.change(&o, &i)
		if got := unchanged(&o, true, &i); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if !unchanged(nil, false, nil) || unchanged(nil, false, &now) || unchanged(&row, true, nil) {
		t.Error("an object that came or went passes for unchanged")
	}
}
