// Package clients generates the configuration files of container clients for a mirror, and checks that a client can use
// the mirror.
package clients

import (
	"encoding/base64"
	"fmt"
	"net"
	"strings"
)

// Mirror describes a mirror as clients see it.
type Mirror struct {
	Host      string   // name or address, with the port unless it is the default of HTTP or HTTPS
	TLS       bool     // clients use HTTPS
	CA        string   // file of the certificate authority to copy to clients; "" if they trust it already
	Cert, Key string   // files of the client certificate and its key; "" without one
	Upstreams []string // hosts that it mirrors; names without a host belong to the first
	// User and Password are the login of clients; "" without one.
	User, Password string
	// NoFallback configures clients to contact only the mirror, and never the upstream.
	NoFallback bool
}

// URL returns the URL of the mirror.
func (m Mirror) URL() string {
	if m.TLS {
		return "https://" + m.Host
	}
	return "http://" + m.Host
}

// insecure reports whether clients need a setting for plain HTTP. Most of them accept it on loopback addresses.
func (m Mirror) insecure() bool {
	host, _, err := net.SplitHostPort(m.Host)
	if err != nil {
		host = m.Host
	}
	ip := net.ParseIP(host)
	return !m.TLS && host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// basic returns the header Authorization of a client with credentials.
func (m Mirror) basic() string { return "Basic " + m.auth() }

// auth returns the credentials in Base64.
func (m Mirror) auth() string {
	return base64.StdEncoding.EncodeToString([]byte(m.User + ":" + m.Password))
}

// comment returns a comment line for formats with # comments.
func comment(text string) string { return "# " + text + "\n" }

// File is a file on the machine of a client.
type File struct {
	Path string `json:"path"`
	Text string `json:"text,omitempty"` // content; "" for a copy of the file Copy
	Copy string `json:"copy,omitempty"`
	// Secret says that the file contains a password.
	Secret bool `json:"secret,omitempty"`
}

// Setup is the configuration of a client.
type Setup struct {
	Files []File   `json:"files"`
	Then  string   `json:"then,omitempty"`  // command that makes the client read the files; "" if none is needed
	Notes []string `json:"notes,omitempty"` // for people, in sentences
}

// Kinds are the clients that [For] supports.
var Kinds = []string{"docker", "containerd", "podman", "crio", "k3s", "buildkit", "kubernetes"}

// For returns the configuration of a kind of client for m.
func For(kind string, m Mirror) (Setup, error) {
	switch kind {
	case "docker":
		return docker(m), nil
	case "containerd":
		return containerd(m), nil
	case "podman":
		return podman(m), nil
	case "crio":
		return crio(m), nil
	case "k3s":
		return k3s(m), nil
	case "buildkit":
		return buildkit(m), nil
	case "kubernetes":
		return kubernetes(m), nil
	}
	return Setup{}, fmt.Errorf("unknown client %q: want one of %s", kind, strings.Join(Kinds, ", "))
}

// giveCA adds the certificate authority of m to the files.
func (s *Setup) giveCA(m Mirror, path string) {
	if m.CA != "" {
		s.Files = append(s.Files, File{Path: path, Copy: m.CA})
	}
}

// giveCert adds the client certificate of m and its key to the files.
func (s *Setup) giveCert(m Mirror, cert, key string) {
	if m.Cert != "" {
		s.Files = append(s.Files, File{Path: cert, Copy: m.Cert}, File{Path: key, Copy: m.Key})
	}
}

// note adds a note.
func (s *Setup) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}
