package main

import (
	"fmt"
	"strings"
)

// ignoredMountOptions are words of fstab and mount(8) that say nothing to the file system itself.
var ignoredMountOptions = map[string]bool{
	"rw": true, "defaults": true, "auto": true, "noauto": true, "user": true, "nouser": true, "users": true, "owner": true, "group": true,
	"_netdev": true, "nofail": true, "async": true, "exec": true, "nosuid": true, "nodev": true,
	// mount.fuse adds these two by itself, so they are no wish of the user's; he writes suid=true.
	"suid": true, "dev": true,
	"atime": true, "noatime": true, "diratime": true, "nodiratime": true, "relatime": true, "norelatime": true,
	"strictatime": true, "nostrictatime": true, "lazytime": true, "nolazytime": true, "silent": true, "loud": true,
	"iversion": true, "noiversion": true, "mand": true, "nomand": true, "splice_read": true,
}

// renamedMountOptions are mount options whose usual spelling differs from ours.
var renamedMountOptions = map[string]string{"ro": "read-only"}

// parseMountOptions reads the argument of -o: names and values joined by commas, as fstab has them. Every option of the
// configuration may stand there, with hyphens or underscores; a comma inside a value is written \054, a backslash \134.
func (v values) parseMountOptions(options []option, list string) error {
	for _, word := range strings.Split(list, ",") {
		name, value, valued := strings.Cut(word, "=")
		if name == "" || ignoredMountOptions[word] || strings.HasPrefix(name, "x-") || name == "comment" || name == "helper" || name == "uhelper" {
			continue
		}
		if to, ok := renamedMountOptions[name]; ok {
			name = to
		}
		name = strings.ReplaceAll(name, "_", "-")
		o := findOption(options, name)
		if o == nil || o.name == "o" || o.cli && o.name != "foreground" {
			return unknownMountOption(options, word, name)
		}
		switch {
		case (o.arg == "" || o.optional()) && !valued:
			value = "true"
		case o.arg != "" && !valued:
			return usageError(fmt.Errorf("mount option %q wants a value: %s=%s", word, o.name, o.arg))
		}
		value = strings.NewReplacer(`\054`, ",", `\040`, " ", `\134`, `\`).Replace(value)
		if err := v.add(o, value, "-o "+o.name); err != nil {
			return err
		}
	}
	return nil
}

func unknownMountOption(options []option, word, name string) error {
	names := []string{"ro"}
	for _, o := range options {
		if !o.cli {
			names = append(names, o.name)
		}
	}
	return usageError(fmt.Errorf("there is no mount option %q", word), didYouMean(name, names))
}
