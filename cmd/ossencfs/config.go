package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/ossencfs/ossencfs/localfile"
)

// systemConfig is the configuration file of the machine.
const systemConfig = "/etc/ossencfs.toml"

// resolve completes the settings of the command line: what it leaves out comes from the environment, then from the
// bucket's section of the configuration file, then from its top. Where the bucket is may come from other tools' files in the end.
func (p *program) resolve(ctx context.Context, options []option, flags values, bucket string) (values, error) {
	v := values{}
	for name, s := range flags {
		v[name] = s
	}
	for _, o := range options {
		if _, set := v[o.name]; set || o.cli {
			continue
		}
		for _, name := range []string{envName(o.name), o.env} {
			if name == "" {
				continue
			}
			if value := p.getenv(name); value != "" {
				v[o.name] = setting{list: splitMany(&o, value), from: name}
				break
			}
		}
	}
	if findOption(options, "config") == nil {
		return v, nil
	}
	file, err := p.readConfig(ctx, v)
	if err != nil {
		return nil, err
	}
	if prefix := v.text(options, "prefix"); prefix != "" && bucket != "" {
		bucket += "/" + strings.Trim(prefix, "/")
	}
	for _, section := range file.sectionsFor(bucket) {
		for name, s := range section {
			if _, set := v[name]; !set && findOption(options, name) != nil {
				v[name] = s
			}
		}
	}
	return v, p.resolvePlace(ctx, options, v, bucket)
}

// envName is the environment variable of an option.
func envName(option string) string {
	return "OSSENCFS_" + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// splitMany splits a repeatable option in an environment variable at commas.
func splitMany(o *option, value string) []string {
	if o.many {
		return strings.Split(value, ",")
	}
	return []string{value}
}

// configFile is a configuration file: settings for all buckets, and sections by BUCKET or BUCKET/PREFIX.
type configFile struct {
	top     values
	buckets map[string]values
}

// sectionsFor are the parts of the file that apply to BUCKET[/PREFIX], the most specific first.
func (f *configFile) sectionsFor(bucket string) []values {
	var list []values
	for name := strings.Trim(bucket, "/"); name != ""; {
		if s, ok := f.buckets[name]; ok {
			list = append(list, s)
		}
		name, _ = cutLast(name)
	}
	return append(list, f.top)
}

// cutLast cuts the last component off a path.
func cutLast(path string) (before, last string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

// readConfig reads the configuration file that applies; without one it is empty.
func (p *program) readConfig(ctx context.Context, v values) (*configFile, error) {
	named, ok := v["config"]
	paths := []string{filepath.Join(p.configHome(), "ossencfs", "config.toml"), systemConfig}
	if ok {
		paths = named.list
	}
	for _, path := range paths {
		raw, err := localfile.Read(ctx, path, localfile.Trusted, maxConfig)
		if !ok && errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, usageError(fmt.Errorf("configuration file: %w", err))
		}
		return parseConfig(path, raw)
	}
	return &configFile{top: values{}}, nil
}

// configHome is the folder of the user's configuration files.
func (p *program) configHome() string {
	if dir := p.getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	return filepath.Join(p.getenv("HOME"), ".config")
}

// maxConfig bounds a configuration file in bytes.
const maxConfig = 1 << 20

// parseConfig reads the TOML text of a configuration file.
func parseConfig(path string, raw []byte) (*configFile, error) {
	var tree map[string]any
	if err := toml.Unmarshal(raw, &tree); err != nil {
		return nil, usageError(fmt.Errorf("configuration file %s: %w", path, err))
	}
	f := &configFile{buckets: map[string]values{}}
	sections, _ := tree["bucket"].(map[string]any)
	if _, given := tree["bucket"]; given && sections == nil {
		return nil, usageError(fmt.Errorf("configuration file %s: bucket is not a table", path), `a bucket's section begins with [bucket."NAME"]`)
	}
	delete(tree, "bucket")
	var err error
	if f.top, err = parseSection(path+": ", tree); err != nil {
		return nil, err
	}
	for name, section := range sections {
		table, ok := section.(map[string]any)
		if !ok {
			return nil, usageError(fmt.Errorf("configuration file %s: bucket.%s is not a table", path, name), `a bucket's section begins with [bucket."NAME"]`)
		}
		if f.buckets[strings.Trim(name, "/")], err = parseSection(fmt.Sprintf("%s: [bucket.%q] ", path, name), table); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// parseSection turns one table into settings.
func parseSection(from string, table map[string]any) (values, error) {
	options := join(fileOptions...)
	v := values{}
	for name, value := range table {
		o := findOption(options, name)
		if o == nil || o.name == "config" {
			return nil, unknownKey(from, name, options)
		}
		list, err := configValue(o, value)
		if err != nil {
			return nil, usageError(fmt.Errorf("%s%s: %w", from, name, err))
		}
		v[name] = setting{list: list, from: from + name}
	}
	return v, nil
}

func unknownKey(from, name string, options []option) error {
	names := make([]string, 0, len(options))
	for _, o := range options {
		names = append(names, o.name)
	}
	return usageError(fmt.Errorf("%s%s: there is no such setting", from, name), didYouMean(strings.ReplaceAll(name, "_", "-"), names))
}

// configValue is the text of a TOML value for an option.
func configValue(o *option, value any) ([]string, error) {
	items, isList := value.([]any)
	switch {
	case isList && !o.many:
		return nil, errors.New("want one value, not a list")
	case !isList:
		items = []any{value}
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		switch x := item.(type) {
		case string:
			list = append(list, x)
		case bool:
			if o.arg != "" && !o.optional() {
				return nil, fmt.Errorf("want %s, not true or false", o.arg)
			}
			list = append(list, fmt.Sprint(x))
		case int64:
			list = append(list, fmt.Sprint(x))
		default:
			return nil, fmt.Errorf("a value of type %T makes no sense here", item)
		}
	}
	return list, nil
}
