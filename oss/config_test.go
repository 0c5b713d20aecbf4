package oss

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossencfs/ossencfs/endpoint"
)

func TestConfigResolved(t *testing.T) {
	for _, tt := range []struct {
		name     string
		cfg      Config
		endpoint string
		region   string
		address  Addressing
	}{
		{"region only", Config{Region: "cn-hangzhou"}, "https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", AddressVirtual},
		{"internal", Config{Region: "cn-hangzhou", Internal: true}, "https://oss-cn-hangzhou-internal.aliyuncs.com", "cn-hangzhou", AddressVirtual},
		{"accelerate", Config{Region: "cn-hangzhou", Accelerate: true}, "https://oss-accelerate.aliyuncs.com", "cn-hangzhou", AddressVirtual},
		{"accelerate overseas", Config{Region: "us-west-1", Accelerate: true}, "https://oss-accelerate-overseas.aliyuncs.com", "us-west-1", AddressVirtual},
		{"region from endpoint", Config{Endpoint: "oss-ap-southeast-1.aliyuncs.com"}, "https://oss-ap-southeast-1.aliyuncs.com", "ap-southeast-1", AddressVirtual},
		{"region from internal endpoint", Config{Endpoint: "https://oss-cn-beijing-internal.aliyuncs.com/"}, "https://oss-cn-beijing-internal.aliyuncs.com", "cn-beijing", AddressVirtual},
		{"region as pasted", Config{Region: "oss-cn-beijing-internal"}, "https://oss-cn-beijing.aliyuncs.com", "cn-beijing", AddressVirtual},
		{"bucket domain pasted", Config{Endpoint: "bucket.oss-cn-beijing.aliyuncs.com"}, "https://oss-cn-beijing.aliyuncs.com", "cn-beijing", AddressVirtual},
		{"address", Config{Endpoint: "http://127.0.0.1:9000", Region: "r"}, "http://127.0.0.1:9000", "r", AddressPath},
		{"address without scheme", Config{Endpoint: "127.0.0.1:9000", Region: "r"}, "http://127.0.0.1:9000", "r", AddressPath},
		{"address of another machine without scheme", Config{Endpoint: "10.1.2.3:9000", Region: "r"}, "https://10.1.2.3:9000", "r", AddressPath},
		{"http to another machine, allowed", Config{Endpoint: "http://10.1.2.3", Region: "r", AllowHTTP: true}, "http://10.1.2.3", "r", AddressPath},
		{"ipv6", Config{Endpoint: "http://[::1]:9000", Region: "r"}, "http://[::1]:9000", "r", AddressPath},
		{"localhost", Config{Endpoint: "localhost:9000", Region: "r"}, "http://localhost:9000", "r", AddressPath},
		{"localhost in other letters", Config{Endpoint: "http://LocalHost:9000", Region: "r"}, "http://localhost:9000", "r", AddressPath},
		{"a bucket of localhost, allowed", Config{Endpoint: "localhost", Region: "r", Addressing: AddressVirtual, AllowHTTP: true}, "http://localhost", "r", AddressVirtual},
		{"cname", Config{Endpoint: "files.example.com", Region: "cn-hangzhou", Addressing: AddressCNAME}, "https://files.example.com", "cn-hangzhou", AddressCNAME},
		{"v1 needs no region", Config{Endpoint: "127.0.0.1:1", SignVersion: SignV1}, "http://127.0.0.1:1", "", AddressPath},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Bucket, tt.cfg.Credentials = "bucket", Static{ID: "i", Secret: "s"}
			got, err := tt.cfg.resolved()
			if err != nil {
				t.Fatal(err)
			}
			if got.Endpoint != tt.endpoint || got.Region != tt.region || got.Addressing != tt.address {
				t.Errorf("got %s %s %s, want %s %s %s", got.Endpoint, got.Region, got.Addressing, tt.endpoint, tt.region, tt.address)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	ok := Config{Endpoint: "127.0.0.1:1", Region: "r", Bucket: "bucket", Credentials: Static{ID: "i", Secret: "s"}}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"bucket name":                   {func(c *Config) { c.Bucket = "Bucket_1" }, ErrInvalid},
		"short bucket":                  {func(c *Config) { c.Bucket = "ab" }, ErrInvalid},
		"no credentials":                {func(c *Config) { c.Credentials = nil }, ErrCredentials},
		"no endpoint":                   {func(c *Config) { c.Endpoint, c.Region = "", "" }, ErrInvalid},
		"no region":                     {func(c *Config) { c.Region = "" }, ErrInvalid},
		"endpoint path":                 {func(c *Config) { c.Endpoint = "https://host/path" }, ErrInvalid},
		"endpoint password":             {func(c *Config) { c.Endpoint = "https://u:p@host" }, ErrInvalid},
		"http":                          {func(c *Config) { c.Endpoint = "http://oss-cn-hangzhou.aliyuncs.com" }, endpoint.ErrPlain},
		"http to a bucket of localhost": {func(c *Config) { c.Endpoint, c.Addressing = "http://localhost:9000", AddressVirtual }, endpoint.ErrPlain},
		"http by a proxy":               {func(c *Config) { c.Proxy = "http://proxy.example:3128" }, endpoint.ErrPlain},
		"endpoint scheme":               {func(c *Config) { c.Endpoint = "ftp://host" }, ErrInvalid},
		"endpoint garbage":              {func(c *Config) { c.Endpoint = "http://[::1" }, ErrInvalid},
		"sign version":                  {func(c *Config) { c.SignVersion = "v9" }, ErrInvalid},
		"addressing":                    {func(c *Config) { c.Addressing = "moon" }, ErrInvalid},
		"virtual address":               {func(c *Config) { c.Addressing = AddressVirtual }, ErrInvalid},
		"cname address":                 {func(c *Config) { c.Addressing = AddressCNAME }, ErrInvalid},
		"proxy":                         {func(c *Config) { c.Proxy = "://" }, ErrInvalid},
		"ca missing":                    {func(c *Config) { c.CAFile = "/nonexistent/ca.pem" }, ErrInvalid},
		"ca empty":                      {func(c *Config) { c.CAFile = empty }, ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := ok
			tt.change(&cfg)
			if _, err := Open(cfg); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := Open(ok); err != nil {
		t.Errorf("the configuration that the cases change: %v", err)
	}
}
