package main

import (
	"strings"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

// trust reads which objects of others are accepted by a command that works below a prefix.
func (r *reader) trust(prefix string) object.Trust {
	return object.Trust{AcceptForeign: r.acceptForeign(prefix), RequireAuthentic: r.is("require-authentic"), Strict: r.is("strict")}
}

// acceptForeign reads the prefixes of --accept-foreign, which are names in the bucket, and returns them as the keys below prefix
// see them: "" is everything.
func (r *reader) acceptForeign(prefix string) []string {
	var list []string
	for _, value := range r.list("accept-foreign") {
		switch value {
		case "true":
			list = append(list, "")
			continue
		case "false": // takes back what the configuration file says
			list = nil
			continue
		}
		p, err := object.CleanPrefix(value)
		if err != nil || p == "" {
			r.bad("accept-foreign", "want a prefix of the bucket, or true for everything")
		}
		if below, ok := strings.CutPrefix(p, prefix); ok {
			list = append(list, below)
		} else if strings.HasPrefix(prefix, p) {
			list = append(list, "")
		}
	}
	return list
}

// volumeIDs reads the volume keys that have to be there.
func (r *reader) volumeIDs() []string {
	var list []string
	for _, value := range r.list("volume-id") {
		id := strings.ToLower(value)
		if _, err := keys.ParseVolumeID(id); err != nil {
			r.bad("volume-id", err.Error())
		}
		list = append(list, id)
	}
	return list
}

// matchedPrefix is a prefix of the command line in the form in which it stands before keys, or as it is when it is none; opening the
// bucket refuses it then.
func matchedPrefix(prefix string) string {
	if clean, err := object.CleanPrefix(prefix); err == nil {
		return clean
	}
	return prefix
}
