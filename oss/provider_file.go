package oss

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ossencfs/ossencfs/localfile"
)

// maxConfigFile bounds a configuration file.
const maxConfigFile = 1 << 20

// profile is what either configuration file says about one identity.
type profile struct {
	mode    string // plain name: ak, ststoken, ramrolearn, ecsramrole, oidc, external, chainableramrolearn
	static  Credentials
	role    Role
	ecsRole string
	oidc    OIDCRole
	command string
	source  string // profile whose credentials assume the role
}

// OSSUtilConfig is a provider that reads ossutil's configuration: the file named, or OSSUTIL_CONFIG_FILE, or
// ~/.ossutilconfig; the profile named, or OSSUTIL_PROFILE, or "default" (version 2), which is "Credentials" in
// version 1. Modes AK, StsToken, RamRoleArn and EcsRamRole and credential processes are understood. The file is
// read again whenever credentials are asked for.
func OSSUtilConfig(file, profile string) Provider {
	file, name := ossutilSource(os.Getenv, file, profile)
	return &fileProvider{file: file, name: name, parse: parseOSSUtil}
}

// AliyunConfig is a provider that reads the aliyun CLI's configuration: the file named, or
// ALIBABA_CLOUD_CONFIG_FILE, or ~/.aliyun/config.json; the profile named, or ALIBABA_CLOUD_PROFILE, or the current
// one. Modes AK, StsToken, RamRoleArn, ChainableRamRoleArn, EcsRamRole, OIDC and External are understood. The file
// is read again whenever credentials are asked for.
func AliyunConfig(file, profile string) Provider {
	file, name := aliyunSource(os.Getenv, file, profile)
	return &fileProvider{file: file, name: name, parse: parseAliyun}
}

// fileProvider reads a configuration file and keeps the provider it describes until the file changes, so that
// tokens of a role live on.
type fileProvider struct {
	file  string
	name  string
	parse func(raw []byte, name string) (profile, error)

	mu    sync.Mutex // guards the fields below
	sum   [sha256.Size]byte
	inner Provider
}

// Credentials implements Provider.
func (f *fileProvider) Credentials(ctx context.Context) (Credentials, error) {
	inner, err := f.provider(ctx)
	if err != nil {
		return Credentials{}, fmt.Errorf("%s: %w", f.file, err)
	}
	c, err := inner.Credentials(ctx)
	if err != nil {
		return Credentials{}, fmt.Errorf("%s: %w", f.file, err)
	}
	return c, nil
}

// provider builds what the file describes now.
func (f *fileProvider) provider(ctx context.Context) (Provider, error) {
	raw, err := readConfig(ctx, f.file)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := sha256.Sum256(raw)
	if f.inner != nil && sum == f.sum {
		return f.inner, nil
	}
	inner, err := f.build(raw, f.name, 0)
	if err != nil {
		return nil, err
	}
	f.sum, f.inner = sum, inner
	return inner, nil
}

// readConfig reads a file; ErrNoCredentials when there is none. It can name a command to run.
func readConfig(ctx context.Context, file string) ([]byte, error) {
	if file == "" {
		return nil, fmt.Errorf("no home folder: %w", ErrNoCredentials)
	}
	raw, err := localfile.Read(ctx, file, localfile.Trusted, maxConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no such file: %w", ErrNoCredentials)
	}
	return raw, err
}

// maxSources bounds how many profiles may point at further ones.
const maxSources = 8

// build turns a profile into a provider; depth counts source profiles that point at further ones.
func (f *fileProvider) build(raw []byte, name string, depth int) (Provider, error) {
	if depth > maxSources {
		return nil, fmt.Errorf("profile %q: source profiles form a circle", name)
	}
	p, err := f.parse(raw, name)
	if err != nil {
		return nil, err
	}
	var source Provider = Static(p.static)
	switch p.mode {
	case "", "ak", "ststoken":
		if p.static.ID == "" || p.static.Secret == "" {
			return nil, fmt.Errorf("profile %q has no access key: %w", name, ErrNoCredentials)
		}
		return source, nil
	case "ramrolearn", "chainableramrolearn":
		if p.source != "" {
			if source, err = f.build(raw, p.source, depth+1); err != nil {
				return nil, err
			}
		}
		return AssumeRole(source, p.role), nil
	case "ecsramrole":
		return ECSRole(p.ecsRole), nil
	case "oidc":
		p.oidc.Role = p.role
		return OIDC(p.oidc), nil
	case "external", "process":
		return Command(p.command), nil
	}
	return nil, fmt.Errorf("profile %q has mode %q, which is not supported: use AK, StsToken, RamRoleArn, EcsRamRole, OIDC or External",
		name, p.mode)
}

// parseOSSUtil reads a profile of ossutil's INI file.
func parseOSSUtil(raw []byte, name string) (profile, error) {
	s := ossutilSection(parseINI(raw), name)
	if s == nil {
		return profile{}, fmt.Errorf("no profile %.60q: %w", name, ErrNoCredentials)
	}
	p := profile{mode: plainName(s["mode"]), ecsRole: firstOf(s["ecsrolename"], s["ecsramrolename"]),
		command: firstOf(s["credentialprocess"], s["processcommand"]), source: s["sourceprofile"]}
	p.static = Credentials{ID: s["accesskeyid"], Secret: s["accesskeysecret"], Token: firstOf(s["ststoken"], s["securitytoken"])}
	p.role = Role{ARN: firstOf(s["ramrolearn"], s["rolearn"]), Session: firstOf(s["rolesessionname"], s["ramsessionname"]),
		ExternalID: s["externalid"], STSEndpoint: s["stsendpoint"]}
	if p.mode == "" && p.static.ID == "" && p.command != "" {
		p.mode = "process"
	}
	return p, nil
}

// ossutilSection finds a profile, nil when there is none. A missing "default" falls back to version 1's "Credentials".
func ossutilSection(sections map[string]map[string]string, name string) map[string]string {
	for _, want := range []string{name, "profile " + name} {
		if s := sections[strings.ToLower(want)]; s != nil {
			return s
		}
	}
	if strings.EqualFold(name, "default") {
		return sections["credentials"]
	}
	return nil
}

// bucketEndpoints is the section of endpoints by bucket, in lower case.
const bucketEndpoints = "bucket-endpoint"

// parseINI reads "[section]" and "name = value" lines; section names are made lower case, and names plain, unless they are those of buckets. Lines
// of any other shape are passed over, as ossutil does.
func parseINI(raw []byte) map[string]map[string]string {
	out := make(map[string]map[string]string)
	var section map[string]string
	var spell func(string) string
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			title := strings.ToLower(strings.TrimSpace(line[1 : len(line)-1]))
			if out[title] == nil {
				out[title] = make(map[string]string)
			}
			section, spell = out[title], plainName
			if title == bucketEndpoints {
				spell = strings.TrimSpace
			}
		case section != nil:
			if k, v, ok := strings.Cut(line, "="); ok {
				section[spell(k)] = strings.TrimSpace(v)
			}
		}
	}
	return out
}

// aliyunFile is the part of the aliyun CLI's config.json that concerns us.
type aliyunFile struct {
	Current  string          `json:"current"`
	Profiles []aliyunProfile `json:"profiles"`
}

type aliyunProfile struct {
	Name          string `json:"name"`
	Mode          string `json:"mode"`
	Region        string `json:"region_id"`
	ID            string `json:"access_key_id"`
	Secret        string `json:"access_key_secret"`
	Token         string `json:"sts_token"`
	RoleARN       string `json:"ram_role_arn"`
	Session       string `json:"ram_session_name"`
	Seconds       int    `json:"expired_seconds"`
	ExternalID    string `json:"external_id"`
	Policy        string `json:"policy"`
	ECSRole       string `json:"ram_role_name"`
	Source        string `json:"source_profile"`
	OIDCTokenFile string `json:"oidc_token_file"`
	OIDCProvider  string `json:"oidc_provider_arn"`
	Command       string `json:"process_command"`
}

// parseAliyun reads a profile of the aliyun CLI; an empty name means the current one.
func parseAliyun(raw []byte, name string) (profile, error) {
	var f aliyunFile
	if json.Unmarshal(raw, &f) != nil {
		// The library's error may quote the file, and with it secrets.
		return profile{}, errNoAliyunFile
	}
	a := f.profile(name)
	if a == nil {
		return profile{}, fmt.Errorf("no profile %.60q: %w", firstOf(name, f.Current, "default"), ErrNoCredentials)
	}
	p := profile{mode: plainName(a.Mode), ecsRole: a.ECSRole, command: a.Command, source: a.Source}
	p.static = Credentials{ID: a.ID, Secret: a.Secret, Token: a.Token}
	p.role = Role{ARN: a.RoleARN, Session: a.Session, ExternalID: a.ExternalID, Policy: a.Policy,
		Duration: time.Duration(max(0, min(a.Seconds, 86400))) * time.Second}
	p.oidc = OIDCRole{ProviderARN: a.OIDCProvider, TokenFile: a.OIDCTokenFile}
	return p, nil
}

// errNoAliyunFile says nothing of the content, which has secrets.
var errNoAliyunFile = errors.New("not a JSON configuration of the aliyun CLI")

// profile finds a profile, nil when there is none; an empty name means the current one.
func (f *aliyunFile) profile(name string) *aliyunProfile {
	name = firstOf(name, f.Current, "default")
	for i := range f.Profiles {
		if f.Profiles[i].Name == name {
			return &f.Profiles[i]
		}
	}
	return nil
}
