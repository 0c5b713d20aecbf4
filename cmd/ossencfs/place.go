package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/ossencfs/ossencfs/object"
)

// resolvePlace takes region and endpoint from the files of ossutil and the aliyun CLI where neither was given: both or none, because one of them
// beside another's is a place that nobody has named. The file that --credentials names goes first.
func (p *program) resolvePlace(ctx context.Context, options []option, v values, bucket string) error {
	if bucket == "" || findOption(options, "credentials") == nil || v.text(options, "region") != "" || v.text(options, "endpoint") != "" {
		return nil
	}
	bucket, _, _ = strings.Cut(bucket, "/")
	kind, profile, _ := strings.Cut(v.text(options, "credentials"), ":")
	of := func(tool string) string {
		if kind == tool {
			return profile
		}
		return ""
	}
	ossutil := func() (object.Place, error) { return object.OSSUtilPlace(ctx, p.getenv, of("ossutil"), bucket) }
	aliyun := func() (object.Place, error) { return object.AliyunPlace(ctx, p.getenv, of("aliyun")) }
	files := []func() (object.Place, error){ossutil, aliyun}
	if kind == "aliyun" {
		files = []func() (object.Place, error){aliyun, ossutil}
	}
	for _, file := range files {
		place, err := file()
		if err != nil {
			return usageError(err, "give --region or --endpoint, and the file is not needed for that")
		}
		if place.Known() {
			v.take("region", place.Region, place.File)
			if place.Region == "" || !v.on(options, "internal") && !v.on(options, "accelerate") { // these are made from the region
				v.take("endpoint", place.Endpoint, place.File)
			}
			return nil
		}
	}
	return nil
}

// on reports whether a switch is on, as far as its value can be read.
func (v values) on(options []option, name string) bool {
	on, err := strconv.ParseBool(v.text(options, name))
	return err == nil && on
}

// take sets an option to what a file of another tool says, when it says something.
func (v values) take(name, value, file string) {
	if value != "" {
		v[name] = setting{list: []string{value}, from: file + ": " + name}
	}
}
