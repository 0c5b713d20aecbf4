package oss

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Place is where a configuration file of another tool says that a bucket is.
type Place struct {
	Region, Endpoint string // either may be empty
	File             string // that says so
}

// Known reports whether the place says anything.
func (p Place) Known() bool { return p.Region != "" || p.Endpoint != "" }

// OSSUtilPlace is what ossutil's configuration says of a bucket: the endpoint of its own in [Bucket-Endpoint], else region and endpoint of the
// profile, which is found as OSSUtilConfig finds it. Without file or profile nothing is known, and that is no error. A nil getenv is that of this
// process.
func OSSUtilPlace(ctx context.Context, getenv func(string) string, profile, bucket string) (Place, error) {
	file, name := ossutilSource(orGetenv(getenv), "", profile)
	raw, err := readPlace(ctx, file)
	if err != nil || raw == nil {
		return Place{}, err
	}
	sections := parseINI(raw)
	if own := sections[bucketEndpoints][bucket]; own != "" {
		return Place{Endpoint: own, File: file}, nil
	}
	p := Place{File: file}
	for range maxSources {
		s := ossutilSection(sections, name)
		p.Region, p.Endpoint = firstOf(p.Region, s["region"]), firstOf(p.Endpoint, s["endpoint"])
		if name = s["sourceprofile"]; name == "" {
			break
		}
	}
	return p, nil
}

// AliyunPlace is the region that the aliyun CLI's configuration names, in the profile that AliyunConfig finds; otherwise as OSSUtilPlace.
func AliyunPlace(ctx context.Context, getenv func(string) string, profile string) (Place, error) {
	file, name := aliyunSource(orGetenv(getenv), "", profile)
	raw, err := readPlace(ctx, file)
	if err != nil || raw == nil {
		return Place{}, err
	}
	var f aliyunFile
	if json.Unmarshal(raw, &f) != nil {
		return Place{}, fmt.Errorf("%s: %w", file, errNoAliyunFile)
	}
	a := f.profile(name)
	if a == nil {
		return Place{}, nil
	}
	return Place{Region: a.Region, File: file}, nil
}

// readPlace reads a configuration file; nil without an error when there is none.
func readPlace(ctx context.Context, file string) ([]byte, error) {
	raw, err := readConfig(ctx, file)
	if errors.Is(err, ErrNoCredentials) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return raw, nil
}

// ossutilSource names ossutil's configuration file and the profile in it.
func ossutilSource(getenv func(string) string, file, profile string) (path, name string) {
	return firstOf(file, getenv("OSSUTIL_CONFIG_FILE"), homeFile(getenv, ".ossutilconfig")), firstOf(profile, getenv("OSSUTIL_PROFILE"), "default")
}

// aliyunSource names the aliyun CLI's configuration file and the profile in it; an empty profile is the current one.
func aliyunSource(getenv func(string) string, file, profile string) (path, name string) {
	return firstOf(file, getenv("ALIBABA_CLOUD_CONFIG_FILE"), homeFile(getenv, ".aliyun", "config.json")), firstOf(profile, getenv("ALIBABA_CLOUD_PROFILE"))
}

func orGetenv(getenv func(string) string) func(string) string {
	if getenv == nil {
		return os.Getenv
	}
	return getenv
}

// homeFile is a file below the home folder; empty when there is none.
func homeFile(getenv func(string) string, elem ...string) string {
	home := getenv("HOME")
	if home == "" {
		return ""
	}
	return filepath.Join(append([]string{home}, elem...)...)
}
