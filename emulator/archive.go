package emulator

import (
	"encoding/xml"
	"net/http"
	"time"
)

// archived are the storage classes whose objects can be read, and copied, only after they were restored, and the most days that a restored
// copy stays.
var archived = map[string]int{"Archive": 7, "ColdArchive": 365, "DeepColdArchive": 365}

// restoration is the copy of an archived object that can be read for a while.
type restoration struct {
	Ready time.Time `json:"ready"`
	Until time.Time `json:"until"`
}

// frozen reports whether the content of an object cannot be read because it is archived.
func (m *meta) frozen(now time.Time) bool {
	return archived[m.Class] != 0 && (m.Restored == nil || now.Before(m.Restored.Ready) || !now.Before(m.Restored.Until))
}

// restoreInfo is what x-oss-restore says; empty: nothing was restored, or not any more.
func (m *meta) restoreInfo(now time.Time) string {
	switch r := m.Restored; {
	case r == nil || !now.Before(r.Until):
		return ""
	case now.Before(r.Ready):
		return `ongoing-request="true"`
	default:
		return `ongoing-request="false", expiry-date="` + httpTime(r.Until) + `"`
	}
}

// writeRestore is the same in a listing.
func (m *meta) writeRestore(x *xmlDoc, now time.Time) {
	if restore := m.restoreInfo(now); restore != "" {
		x.text("RestoreInfo", restore)
	}
}

// checkFrozen refuses to hand out the content of an archived object.
func (c *call) checkFrozen(v *version) error {
	if v.frozen(c.now()) {
		return refuse(http.StatusForbidden, "InvalidObjectState", ecFrozen, "The operation is not valid for the object's state.").with("ObjectName", v.Key)
	}
	return nil
}

// restoreObject begins to restore an archived object, or lets a restored one stay longer.
func (c *call) restoreObject() error {
	var in struct {
		XMLName xml.Name `xml:"RestoreRequest"`
		Days    int      `xml:"Days"`
	}
	empty, err := c.optionalDocument(&in)
	if err != nil {
		return err
	}
	if empty {
		in.Days = 1
	}
	v, err := c.found()
	if err != nil {
		return err
	}
	was, most, now := v.Restored, archived[v.Class], c.now()
	v.release()
	switch {
	case most == 0:
		return refuse(http.StatusBadRequest, "OperationNotSupported", ecNotArchived, "The operation is not supported for this resource.")
	case in.Days < 1 || in.Days > most:
		return errMalformedXML()
	case was != nil && now.Before(was.Ready):
		return refuse(http.StatusConflict, "RestoreAlreadyInProgress", ecRestoring, "The restore operation is in progress.")
	}
	status, to := http.StatusAccepted, &restoration{Ready: now.Add(c.s.opt.RestoreTime)}
	if was != nil && now.Before(was.Until) {
		status, to.Ready = http.StatusOK, was.Ready
	}
	to.Until = to.Ready.AddDate(0, 0, in.Days)
	if status == http.StatusOK {
		to.Until = now.AddDate(0, 0, in.Days)
	}
	if err := c.change(func(m *meta) { m.Restored = to }); err != nil {
		return err
	}
	return c.done(status)
}
