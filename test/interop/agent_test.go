//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// agent is an official SDK of another language, run as a process for each job (agents/agent.py, java/Agent.java).
type agent struct {
	w        *world
	title    string
	command  []string
	provider string // localrsa, rsa or kms
	context  string // passphrase of the KMS EncryptionContext
	noParts  bool   // the SDK cannot upload in parts
	noRange  bool   // the SDK refuses ranges
}

func (a agent) name() string { return a.title }

// job is what an agent reads on its standard input.
type job struct {
	Op         string   `json:"op"`
	Provider   string   `json:"provider"`
	Endpoint   string   `json:"endpoint"`
	Region     string   `json:"region"`
	Bucket     string   `json:"bucket"`
	AK         string   `json:"ak"`
	SK         string   `json:"sk"`
	Object     string   `json:"object"`
	File       string   `json:"file"`
	Dir        string   `json:"dir"`
	PrivatePEM string   `json:"private_pem"`
	PublicPEM  string   `json:"public_pem"`
	PartSize   int      `json:"part_size"`
	Range      [2]int64 `json:"range"`
	KMS        jobKMS   `json:"kms"`
}

type jobKMS struct {
	Endpoint   string `json:"endpoint"`
	Key        string `json:"key"`
	Passphrase string `json:"passphrase"`
}

func (a agent) run(j job) error {
	s := a.w.server
	j.Provider, j.Endpoint, j.Region, j.Bucket = a.provider, s.Endpoint(), s.Region(), a.w.bucket
	j.AK, j.SK, j.PartSize = s.AccessKeyID(), s.AccessKeySecret(), partSize
	j.Dir, j.PrivatePEM, j.PublicPEM = a.w.localRSA, a.w.privatePKCS8File, a.w.publicFile
	j.KMS = jobKMS{Endpoint: a.w.kmsHost, Key: s.KMSKeyID(), Passphrase: a.context}
	input, err := json.Marshal(j)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, a.command[0], a.command[1:]...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "ALIBABA_CLOUD_CA_BUNDLE="+a.w.caFile)
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	return nil
}

func (a agent) put(file, object string, parts bool) error {
	op := "put"
	if parts {
		if a.noParts {
			return errUnsupported
		}
		op = "putparts"
	}
	return a.run(job{Op: op, Object: object, File: file})
}

func (a agent) get(object string, r *byteRange) ([]byte, error) {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	j := job{Op: "get", Object: object, File: filepath.Join(dir, "got")}
	if r != nil {
		if a.noRange {
			return nil, errUnsupported
		}
		j.Op, j.Range = "getrange", [2]int64{r.first, r.last}
	}
	if err := a.run(j); err != nil {
		return nil, err
	}
	return os.ReadFile(j.File)
}
