package oss

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counted is a provider that counts its answers and names them id-1, id-2, ...
type counted struct {
	asked  atomic.Int64
	active atomic.Int64
	life   time.Duration // 0: without end
	fail   atomic.Bool
}

func (p *counted) Credentials(context.Context) (Credentials, error) {
	if p.active.Add(1) > 1 {
		return Credentials{}, errors.New("asked twice at a time")
	}
	defer p.active.Add(-1)
	n := p.asked.Add(1)
	if p.fail.Load() {
		return Credentials{}, errors.New("no network")
	}
	c := Credentials{ID: fmt.Sprintf("id-%d", n), Secret: "secret", Token: "token"}
	if p.life != 0 {
		c.Expires = time.Now().Add(p.life)
	}
	return c, nil
}

// usedID is the access key id of a V4 request.
func usedID(r *http.Request) string {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(rest, "/")
	return id
}

func TestRefusedCredentialsAreRenewedOnce(t *testing.T) {
	for _, code := range []string{"SecurityTokenExpired", "InvalidAccessKeyId", "InvalidSecurityToken"} {
		t.Run(code, func(t *testing.T) {
			f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("ETag", `"E"`)
				if usedID(r) == "id-1" {
					refuse(w, 403, code)
				}
			})
			p := &counted{}
			c := f.client(t, func(cfg *Config) { cfg.Credentials = p })
			if _, err := c.Put(t.Context(), "k", strings.NewReader("abc"), 3, PutOptions{}); err != nil {
				t.Fatal(err)
			}
			if n, asked := f.requests.Load(), p.asked.Load(); n != 2 || asked != 2 {
				t.Errorf("got %d requests and %d questions, want 2 and 2", n, asked)
			}
		})
	}
}

func TestRefusedCredentialsStayRefused(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) { refuse(w, 403, "InvalidAccessKeyId") })
	for name, tt := range map[string]struct {
		p    Provider
		want int64
	}{
		"provider without better ones": {Static{ID: "id", Secret: "s"}, 1},
		"provider with others":         {&counted{}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			before := f.requests.Load()
			err := f.client(t, func(cfg *Config) { cfg.Credentials = tt.p }).Delete(t.Context(), "k")
			if n := f.requests.Load() - before; !errors.Is(err, ErrCredentials) || n != tt.want {
				t.Errorf("got %v after %d requests, want ErrCredentials after %d", err, n, tt.want)
			}
		})
	}
}

func TestCredentialCache(t *testing.T) {
	ask := func(t *testing.T, c *credentialCache) string {
		t.Helper()
		got, err := c.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got.ID
	}
	t.Run("lasting ones are kept", func(t *testing.T) {
		c := newCredentialCache(&counted{})
		if a, b := ask(t, c), ask(t, c); a != "id-1" || b != "id-1" {
			t.Errorf("got %s, %s", a, b)
		}
	})
	t.Run("renewed shortly before the end", func(t *testing.T) {
		c := newCredentialCache(&counted{life: renewBefore - time.Second})
		if a, b := ask(t, c), ask(t, c); a != "id-1" || b != "id-2" {
			t.Errorf("got %s, %s", a, b)
		}
	})
	t.Run("used to the end when the provider fails", func(t *testing.T) {
		p := &counted{life: renewBefore - time.Second}
		c := newCredentialCache(p)
		first := ask(t, c)
		p.fail.Store(true)
		if again := ask(t, c); again != first {
			t.Errorf("got %s, want %s", again, first)
		}
	})
	t.Run("not used behind the end", func(t *testing.T) {
		p := &counted{life: -time.Second}
		c := newCredentialCache(p)
		ask(t, c)
		p.fail.Store(true)
		if _, err := c.get(t.Context()); err == nil {
			t.Error("expired credentials were given out")
		}
	})
	t.Run("one question at a time", func(t *testing.T) {
		p := &counted{}
		c := newCredentialCache(p)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := c.get(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := p.asked.Load(); n != 1 {
			t.Errorf("asked %d times, want 1", n)
		}
	})
	t.Run("renewed once for many refusals", func(t *testing.T) {
		p := &counted{}
		c := newCredentialCache(p)
		old, err := c.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if fresh, err := c.renew(t.Context(), old); err != nil || fresh.ID != "id-2" {
					t.Errorf("got %v, %v", fresh, err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("waiting ends with the context", func(t *testing.T) {
		c := newCredentialCache(&counted{})
		<-c.turn
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.get(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want cancelled", err)
		}
		c.turn <- struct{}{}
	})
	t.Run("empty ones are refused", func(t *testing.T) {
		if _, err := newCredentialCache(emptyProvider{}).get(t.Context()); !errors.Is(err, ErrNoCredentials) {
			t.Errorf("got %v, want ErrNoCredentials", err)
		}
	})
}

type emptyProvider struct{}

func (emptyProvider) Credentials(context.Context) (Credentials, error) { return Credentials{}, nil }

func TestProviderFailureIsACredentialError(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {})
	c := f.client(t, func(cfg *Config) { cfg.Credentials = Env{} })
	for _, name := range []string{"OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"} {
		t.Setenv(name, "")
	}
	err := c.Check(t.Context())
	if !errors.Is(err, ErrCredentials) || !errors.Is(err, ErrNoCredentials) || !NoEffect(err) || f.requests.Load() != 0 {
		t.Errorf("got %v after %d requests", err, f.requests.Load())
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	c := Credentials{ID: "id", Secret: "hidden", Token: "hidden"}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%#v", Static(c)), fmt.Sprintf("%+v", Static(c))} {
		if strings.Contains(s, "hidden") {
			t.Errorf("printed %q", s)
		}
	}
}

// rotating gives the same key at each question, always about to expire.
type rotating struct{ key Credentials }

func (r *rotating) Credentials(context.Context) (Credentials, error) {
	c := r.key
	c.Expires = time.Now().Add(time.Second)
	return c, nil
}
