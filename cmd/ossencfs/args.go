package main

import (
	"errors"
	"fmt"
	"strings"
)

// errHelp says that the command line asks for the manual.
var errHelp = errors.New("help requested")

// setting is what an option was set to.
type setting struct {
	list []string // one element, more for an option that may be repeated
	from string   // where it was said, for error messages: "--region", "OSS_REGION", "config.toml: region"
}

// values are the settings of options by name; absent ones have their default.
type values map[string]setting

// parseArgs splits a command line into settings and positional arguments, in any order. "--" ends the options;
// what comes after it stays together with the "--" as positional arguments.
func parseArgs(options []option, args []string) (values, []string, error) {
	v := values{}
	var rest []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return v, append(append(rest, arg), args...), nil
		case arg == "-h" || arg == "--help":
			return nil, nil, errHelp
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			rest = append(rest, arg)
			continue
		}
		var err error
		if args, err = v.parseOption(options, arg, args); err != nil {
			return nil, nil, err
		}
	}
	return v, rest, nil
}

// parseOption reads one option and its value, and returns the arguments that are left.
func (v values) parseOption(options []option, arg string, args []string) ([]string, error) {
	name, value, joined := strings.Cut(arg, "=")
	name = strings.TrimPrefix(strings.TrimPrefix(name, "-"), "-")
	o := findOption(options, name)
	if o == nil || len(name) > 1 != strings.HasPrefix(arg, "--") {
		return nil, unknownOption(options, arg, name)
	}
	if o.arg != "" && !o.optional() && !joined {
		if len(args) == 0 {
			return nil, usageError(fmt.Errorf("%s wants a value: %s", arg, o.arg))
		}
		value, args = args[0], args[1:]
	}
	if (o.arg == "" || o.optional()) && !joined {
		value = "true"
	}
	if name == "o" {
		return args, v.parseMountOptions(options, value)
	}
	return args, v.add(o, value, "--"+o.name)
}

// add records one mention of an option on the command line, which every process of the machine can read: a URL has no password there.
func (v values) add(o *option, value, from string) error {
	if o.arg == "URL" && strings.Contains(value, "@") {
		return usageError(fmt.Errorf("%s names a user or password, and everybody on this machine can read the command line", from),
			fmt.Sprintf("set %s in the environment, or %s in the configuration file", envName(o.name), o.name))
	}
	old, again := v[o.name]
	if again && !o.many && old.list[0] != value {
		return usageError(fmt.Errorf("%s is given twice, as %q and as %q", from, old.list[0], value))
	}
	if again && !o.many {
		return nil
	}
	v[o.name] = setting{list: append(old.list, value), from: from}
	return nil
}

// unknownOption is the error for a flag that does not exist, with the nearest that does.
func unknownOption(options []option, arg, name string) error {
	if strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--") && len(name) > 1 {
		if o := findOption(options, name); o != nil {
			return usageError(fmt.Errorf("there is no option %q", arg), "long options begin with two hyphens: --"+name)
		}
	}
	names := make([]string, 0, len(options))
	for _, o := range options {
		names = append(names, "--"+o.name)
	}
	arg, _, _ = strings.Cut(arg, "=")
	return usageError(fmt.Errorf("there is no option %q", arg), didYouMean(arg, names))
}

// didYouMean is a hint with the nearest of names, or "" when none is near.
func didYouMean(word string, names []string) string {
	best, distance := "", max(1, len(strings.TrimLeft(word, "-"))/4)
	for _, n := range names {
		if d := editDistance(word, n); d <= distance && (best == "" || d < distance) {
			best, distance = n, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + best + "?"
}

// editDistance counts the letters to insert, remove, replace or swap with their neighbour to turn a into b.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
