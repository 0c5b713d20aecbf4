package emulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server is a running emulator. Its methods are safe for concurrent use.
type Server struct {
	pace pace

	opt    Options
	store  *store
	keys   *keyring
	creds  credentials
	count  counters
	faults faults

	watcher atomic.Pointer[func(Step)]

	http   *http.Server
	ln     net.Listener
	tlsLn  net.Listener
	ca     *authority
	tmpDir string // holds ca.pem of a server in memory
	nextID atomic.Uint64

	life context.Context // ends when the server closes: faults stop waiting
	end  context.CancelFunc

	mu     sync.Mutex // mu guards closed, and wg against Add after Wait
	closed bool
	wg     sync.WaitGroup // handlers, late executions and the accept loops
}

// Start serves until Close. It returns when the listeners accept connections.
func Start(o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{opt: o}
	s.life, s.end = context.WithCancel(context.Background())
	s.store, err = openStore(o.Dir, func(msg string, err error) { o.Logger.Warn(msg, "err", err) })
	if err != nil {
		s.end()
		return nil, err
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare fills the account and begins to listen.
func (s *Server) prepare() error {
	if err := s.loadAccount(); err != nil {
		return err
	}
	for _, name := range s.opt.Buckets {
		conf := s.newBucketConfig()
		if s.opt.Versioning {
			conf.Versioning = "Enabled"
		}
		if _, _, err := s.store.createBucket(name, conf); err != nil {
			return err
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(s.life, "tcp", s.opt.Listen)
	if err != nil {
		return fmt.Errorf("listen for OSS on %s: %w", s.opt.Listen, err)
	}
	s.ln = ln
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.opt.Logger.Handler(), slog.LevelDebug),
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 only, as OSS
	}
	if s.opt.TLS {
		if err := s.listenTLS(lc); err != nil {
			return err
		}
	}
	for _, l := range []net.Listener{s.ln, s.tlsLn} {
		if l == nil {
			continue
		}
		s.wg.Go(func() {
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.opt.Logger.Error("emulator stopped to accept", "err", err)
			}
		})
	}
	return nil
}

func (s *Server) listenTLS(lc net.ListenConfig) error {
	ca, err := openAuthority(s.opt.Dir, s.opt.TLSNames)
	if err != nil {
		return err
	}
	s.ca = ca
	ln, err := lc.Listen(s.life, "tcp", s.opt.TLSListen)
	if err != nil {
		return fmt.Errorf("listen for TLS on %s: %w", s.opt.TLSListen, err)
	}
	s.tlsLn = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{ca.leaf}, MinVersion: tls.VersionTLS12})
	if s.opt.Dir == "" {
		if s.tmpDir, err = os.MkdirTemp("", "ossencfs-emulator-"); err != nil {
			return fmt.Errorf("make folder for the CA: %w", err)
		}
		if err := os.WriteFile(s.caFile(), ca.pem, 0o644); err != nil {
			return fmt.Errorf("write CA: %w", err)
		}
	}
	return nil
}

func (s *Server) caFile() string {
	if s.ca == nil {
		return ""
	}
	if s.opt.Dir == "" {
		return filepath.Join(s.tmpDir, "ca.pem")
	}
	return filepath.Join(s.opt.Dir, "ca.pem")
}

// shutdownGrace is how long Close lets requests under way finish.
const shutdownGrace = 2 * time.Second

// Close stops listening, ends waiting faults, lets requests under way finish for a moment, and returns when
// no handler runs any more. Late executions that are still waiting do not happen.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.end()
	var errs []error
	if s.http != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		if s.http.Shutdown(ctx) != nil {
			errs = append(errs, s.http.Close())
		}
		cancel()
	}
	for _, l := range []net.Listener{s.ln, s.tlsLn} {
		if l != nil {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	s.wg.Wait()
	if s.tmpDir != "" {
		errs = append(errs, os.RemoveAll(s.tmpDir))
	}
	return errors.Join(append(errs, s.store.close())...)
}

// enter registers a goroutine that Close waits for; false when the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

// requestID makes an id in the shape of OSS's: 24 hexadecimal digits.
func (s *Server) requestID() string {
	return fmt.Sprintf("%08X%016X", s.opt.Now().Unix(), s.nextID.Add(1))
}

// serve is the door for all requests: control, KMS, OSS.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		dropConn(w)
		return
	}
	defer s.wg.Done()
	switch {
	case r.URL.Path == "/-" || strings.HasPrefix(r.URL.Path, "/-/"):
		if s.opt.NoControl {
			answer(w, http.StatusForbidden, map[string]string{"error": "this server has no control"})
			return
		}
		s.serveControl(w, r)
	case isKMS(r):
		s.serveKMS(w, r)
	default:
		s.serveOSS(w, r)
	}
}

// Endpoint is the URL of OSS, path style or virtual-host style: "http://127.0.0.1:port".
func (s *Server) Endpoint() string { return "http://" + s.ln.Addr().String() }

// KMSEndpoint is the URL of KMS's RPC interface: the same listener.
func (s *Server) KMSEndpoint() string { return s.Endpoint() }

// TLSEndpoint is the HTTPS URL of OSS and KMS, "" without Options.TLS.
func (s *Server) TLSEndpoint() string {
	if s.tlsLn == nil {
		return ""
	}
	return "https://" + s.tlsLn.Addr().String()
}

// CACertPEM is the certificate that signed the HTTPS listener's, nil without Options.TLS.
func (s *Server) CACertPEM() []byte {
	if s.ca == nil {
		return nil
	}
	return s.ca.pem
}

// AccessKeyID is the id of the account's long-lived access key.
func (s *Server) AccessKeyID() string { return s.opt.AccessKeyID }

// AccessKeySecret is the secret of the account's long-lived access key.
func (s *Server) AccessKeySecret() string { return s.opt.AccessKeySecret }

// Region is the region that V4 signatures must name.
func (s *Server) Region() string { return s.opt.Region }

// KMSKeyID is the id of the master key made at start.
func (s *Server) KMSKeyID() string { return s.opt.KMSKeyID }

// Ready is what a program needs to use the server, in the shape of the line that `ossencfs emulator` prints.
type Ready struct {
	OSS             string `json:"oss"`               // URL of OSS over HTTP
	KMS             string `json:"kms"`               // URL of KMS over HTTP
	AccessKeyID     string `json:"access_key_id"`     // long-lived access key
	AccessKeySecret string `json:"access_key_secret"` // its secret
	KMSKeyID        string `json:"kms_key_id"`        // master key made at start
	Region          string `json:"region"`            // region of V4 signatures
	OSSTLS          string `json:"oss_tls,omitempty"` // URL of OSS over HTTPS
	KMSTLS          string `json:"kms_tls,omitempty"` // URL of KMS over HTTPS
	CAFile          string `json:"ca_file,omitempty"` // PEM file of the CA; in memory it goes with Close
}

// Ready returns the server's addresses and credentials.
func (s *Server) Ready() Ready {
	return Ready{
		OSS: s.Endpoint(), KMS: s.KMSEndpoint(), Region: s.opt.Region,
		AccessKeyID: s.opt.AccessKeyID, AccessKeySecret: s.opt.AccessKeySecret, KMSKeyID: s.opt.KMSKeyID,
		OSSTLS: s.TLSEndpoint(), KMSTLS: s.TLSEndpoint(), CAFile: s.caFile(),
	}
}
