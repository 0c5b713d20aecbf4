package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ossencfs/ossencfs/endpoint"
	"github.com/ossencfs/ossencfs/object"
)

// pinName is the name of a pin file: the bucket for people, and a hash of what makes it different from others of that name. The same bucket
// has the same name however its endpoint is spelled: another name would be another first contact.
func pinName(conn object.Connection, prefix string) string {
	return pinNameAt(serviceOf(conn), conn.Bucket, prefix)
}

// pinNames are the names under which a pin file may be, the one of today first. Versions before took an endpoint as it was spelled.
func pinNames(conn object.Connection, prefix string) []string {
	names := []string{pinName(conn, prefix)}
	for _, spelled := range spellings(conn) {
		if name := pinNameAt(spelled, conn.Bucket, prefix); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func pinNameAt(service, bucket, prefix string) string {
	sum := sha256.Sum256([]byte(service + "\x00" + bucket + "\x00" + prefix))
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, bucket)
	return fmt.Sprintf("%.63s-%s.json", clean, hex.EncodeToString(sum[:8]))
}

// serviceOf names the service that a bucket is on, as far as the endpoint tells: nothing for Alibaba's, where the names of buckets are unique
// and the same bucket has many endpoints, and domains of its own; else host and port. A host that has a name and an address is two.
func serviceOf(conn object.Connection) string {
	if conn.Endpoint == "" {
		return ""
	}
	u, err := endpoint.Parse(conn.Endpoint)
	if err != nil {
		return strings.ToLower(conn.Endpoint)
	}
	host := cleanHost(u)
	switch port := cleanPort(u); {
	case strings.HasSuffix(host, ".aliyuncs.com"), conn.Addressing == object.AddressCNAME && !endpoint.Loopback(host):
		return ""
	case port != "":
		return net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	default:
		return host
	}
}

// cleanHost is the host of an endpoint in one spelling.
func cleanHost(u *url.URL) string {
	host := strings.TrimSuffix(u.Hostname(), ".")
	if host == "localhost" {
		return "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}

// cleanPort is the port of an endpoint; empty for that of its scheme.
func cleanPort(u *url.URL) string {
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || u.Scheme == "https" && n == 443 || u.Scheme == "http" && n == 80 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// spellings are the other ways in which the same service may have been named, among them the one at hand.
func spellings(conn object.Connection) []string {
	u, err := endpoint.Parse(conn.Endpoint)
	if err != nil {
		return nil
	}
	list := []string{u.Host}
	hosts := []string{cleanHost(u), strings.TrimSuffix(u.Hostname(), ".")}
	if hosts[0] == "127.0.0.1" {
		hosts = append(hosts, "localhost")
	}
	ports := []string{":" + cleanPort(u)}
	if ports[0] == ":" {
		ports = []string{"", ":443", ":80"}
	}
	for _, host := range hosts {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		for _, port := range ports {
			list = append(list, host+port, host+"."+port)
		}
	}
	return list
}
