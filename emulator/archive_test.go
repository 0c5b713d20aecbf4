package emulator

import (
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// TestArchived: content of an archived object is handed out, and copied, while it is restored and not otherwise; its headers and tags always are.
func TestArchived(t *testing.T) {
	for _, class := range []sdk.StorageClassType{sdk.StorageArchive, sdk.StorageColdArchive, sdk.StorageDeepColdArchive} {
		t.Run(string(class), func(t *testing.T) {
			now := time.Now()
			s := start(t, Options{RestoreTime: time.Minute, Now: func() time.Time { return now }})
			b := sdkBucket(t, s)
			if err := b.PutObject("a", strings.NewReader("text"), sdk.ObjectStorageClass(class), sdk.Meta("k", "v")); err != nil {
				t.Fatal(err)
			}
			frozen := func(when string) {
				t.Helper()
				_, err := b.GetObject("a")
				refusedAs(t, err, ecFrozen)
				_, err = b.CopyObject("a", "b", sdk.ObjectStorageClass(class))
				refusedAs(t, err, ecFrozen)
				_, err = b.CopyObject("a", "a", sdk.ObjectStorageClass(sdk.StorageStandard))
				refusedAs(t, err, ecFrozen)
				if t.Failed() {
					t.Fatal(when)
				}
			}
			restore := func(want string) {
				t.Helper()
				h, err := b.GetObjectDetailedMeta("a")
				if err != nil || h.Get("x-oss-storage-class") != string(class) || h.Get("x-oss-meta-k") != "v" {
					t.Fatalf("head: %v, %v", h, err)
				}
				if got := h.Get("x-oss-restore"); !strings.HasPrefix(got, want) || want == "" && got != "" {
					t.Errorf("x-oss-restore: got %q, want %q", got, want)
				}
				list, err := b.ListObjectsV2()
				if err != nil || list.Objects[0].StorageClass != string(class) || !strings.HasPrefix(list.Objects[0].RestoreInfo, want) {
					t.Errorf("list: %+v, %v", list.Objects, err)
				}
			}
			frozen("before anything")
			restore("")
			if err := b.RestoreObject("a"); err != nil {
				t.Fatal(err)
			}
			refusedAs(t, b.RestoreObject("a"), ecRestoring)
			frozen("while it is being restored")
			restore(`ongoing-request="true"`)
			now = now.Add(2 * time.Minute)
			body, err := b.GetObject("a")
			if err != nil {
				t.Fatal(err)
			}
			body.Close()
			restore(`ongoing-request="false", expiry-date="` + now.Add(24*time.Hour-time.Minute).UTC().Format(http.TimeFormat))
			if err := b.RestoreObject("a"); err != nil {
				t.Errorf("for longer: %v", err)
			}
			if _, err := b.CopyObject("a", "thawed"); err != nil {
				t.Errorf("copy: %v", err)
			}
			if body, err = b.GetObject("thawed"); err != nil {
				t.Fatalf("a copy is of the bucket's class: %v", err)
			}
			body.Close()
			refusedAs(t, b.RestoreObject("thawed"), ecNotArchived)
		})
	}
}
