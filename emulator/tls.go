package emulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificate lifetime: longer than any emulator folder is kept.
const certLife = 10 * 365 * 24 * time.Hour

// authority is a CA made for one server or folder, with the server's certificate.
type authority struct {
	pem  []byte
	leaf tls.Certificate
}

// openAuthority loads the CA of a folder or makes one, and signs a fresh server certificate.
func openAuthority(dir string, names []string) (*authority, error) {
	if dir == "" {
		certPEM, keyPEM, err := makeCA()
		if err != nil {
			return nil, err
		}
		return signLeaf(certPEM, keyPEM, names)
	}
	certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")
	certPEM, err := os.ReadFile(certFile)
	if err == nil {
		keyPEM, err := os.ReadFile(keyFile)
		if err != nil {
			return nil, fmt.Errorf("read CA key: %w", err)
		}
		return signLeaf(certPEM, keyPEM, names)
	}
	if !os.IsNotExist(err) {
		return nil, fmt.Errorf("read CA: %w", err)
	}
	certPEM, keyPEM, err := makeCA()
	if err != nil {
		return nil, err
	}
	if err := writeFile(keyFile, keyPEM); err != nil {
		return nil, fmt.Errorf("write CA key: %w", err)
	}
	if err := writeFile(certFile, certPEM); err != nil {
		return nil, fmt.Errorf("write CA: %w", err)
	}
	return signLeaf(certPEM, keyPEM, names)
}

func serial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return n, nil
}

func makeCA() (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make CA key: %w", err)
	}
	n, err := serial()
	if err != nil {
		return nil, nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: n, Subject: pkix.Name{CommonName: "ossencfs emulator CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("make CA: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode CA key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// signLeaf makes the certificate of the HTTPS listener.
func signLeaf(certPEM, keyPEM []byte, names []string) (*authority, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("load CA: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make server key: %w", err)
	}
	n, err := serial()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: n, Subject: pkix.Name{CommonName: "ossencfs emulator"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    append([]string{"localhost", "*.localhost"}, names...),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, pair.Leaf, key.Public(), pair.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("sign server certificate: %w", err)
	}
	return &authority{pem: certPEM, leaf: tls.Certificate{Certificate: [][]byte{der, pair.Certificate[0]}, PrivateKey: key}}, nil
}
