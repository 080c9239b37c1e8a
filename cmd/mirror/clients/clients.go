// Package clients knows what each client needs to be told to pull through a mirror: which file, and what is in it.
package clients

import (
	"encoding/base64"
	"fmt"
	"net"
	"strings"
)

// Mirror is a mirror as its clients reach it.
type Mirror struct {
	Host      string   // name or address, with the port unless it is that of HTTP or HTTPS
	TLS       bool     // it is reached by HTTPS
	CA        string   // the file of an authority that clients need to be given; "" if they know it
	Cert, Key string   // the files of a certificate that clients have to show and of its key; "" if they need none
	Upstreams []string // hosts that it mirrors; bare names belong to the first
	// User and Password are what clients log in with to pull; "" if they need not.
	User, Password string
	// NoFallback has clients ask the mirror alone, and not the upstream after it.
	NoFallback bool
}

// URL is the address of the mirror.
func (m Mirror) URL() string {
	if m.TLS {
		return "https://" + m.Host
	}
	return "http://" + m.Host
}

// insecure reports whether a client has to be told that there is no TLS: most take that for granted on loopback.
func (m Mirror) insecure() bool {
	host, _, err := net.SplitHostPort(m.Host)
	if err != nil {
		host = m.Host
	}
	ip := net.ParseIP(host)
	return !m.TLS && host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// basic is what a client with credentials sends as the header Authorization.
func (m Mirror) basic() string { return "Basic " + m.auth() }

func (m Mirror) auth() string {
	return base64.StdEncoding.EncodeToString([]byte(m.User + ":" + m.Password))
}

// comment makes the lines of a file's comment of a text, in the formats that have it after a #.
func comment(text string) string { return "# " + text + "\n" }

// File is a file on a client's machine.
type File struct {
	Path string
	Text string // what is in it; "" for a copy of Copy
	Copy string
	// Secret says that a password is in it.
	Secret bool
}

// Setup is what a client needs.
type Setup struct {
	Files []File
	Then  string   // what makes the client read them, as a command; "" if it does by itself
	Notes []string // sentences
}

// Kinds are the clients that [For] knows.
var Kinds = []string{"docker", "containerd", "podman", "crio", "k3s", "buildkit", "kubernetes"}

// For returns what a kind of client needs to use m.
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
	return Setup{}, fmt.Errorf("%q is not a client that is known: want one of %s", kind, strings.Join(Kinds, ", "))
}

func (s *Setup) giveCA(m Mirror, path string) {
	if m.CA != "" {
		s.Files = append(s.Files, File{Path: path, Copy: m.CA})
	}
}

// giveCert has the certificate that a client shows copied to it, and its key.
func (s *Setup) giveCert(m Mirror, cert, key string) {
	if m.Cert != "" {
		s.Files = append(s.Files, File{Path: cert, Copy: m.Cert}, File{Path: key, Copy: m.Key})
	}
}

func (s *Setup) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}
