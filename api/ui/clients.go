package ui

import (
	"slices"
	"strings"

	"airmirror/mirror"
)

// Clients generates the files that configure clients for the mirror.
type Clients interface {
	// Kinds are the clients that it knows.
	Kinds() []string
	// Setup returns the files for a kind of client that reaches the mirror at an address, with the port if there is one.
	Setup(kind, address string, tls bool) (ClientSetup, error)
}

// ClientSetup is the configuration of a client.
type ClientSetup struct {
	Files []ClientFile
	Then  string   // command that makes the client read the files; "" if none is needed
	Notes []string // for people, in sentences
}

// ClientFile is a file on the machine of a client.
type ClientFile struct {
	Path, Text string
	Copy       string // the file is a copy of this one; "" if it has Text
}

// clientsData is what the page of clients shows.
type clientsData struct {
	Kinds   []string
	Kind    string
	Address string // of the mirror, as the browser sees it
	TLS     bool
	Setup   ClientSetup
	Check   string // command that checks whether a client can use the mirror
}

// clientsPage shows the files for the address that the browser uses. The address is not a parameter of the page: a link
// could then show files for another registry as if they were those of this mirror.
func clientsPage(r *request) (any, error) {
	if r.opts.Clients == nil {
		return nil, mirror.Errorf(mirror.CodeUnsupported, "this mirror generates no files for clients")
	}
	d := clientsData{Kinds: r.opts.Clients.Kinds(), Kind: r.URL.Query().Get("kind"), Address: r.Host, TLS: r.TLS != nil || forwardedTLS(r)}
	if !slices.Contains(d.Kinds, d.Kind) {
		d.Kind = d.Kinds[0]
	}
	scheme := "http://"
	if d.TLS {
		scheme = "https://"
	}
	d.Check = "mirror client " + d.Kind + " --check --host " + scheme + d.Address
	var err error
	d.Setup, err = r.opts.Clients.Setup(d.Kind, d.Address, d.TLS)
	return d, err
}

// forwardedTLS reports whether a proxy in front of the mirror serves TLS.
func forwardedTLS(r *request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return strings.TrimSpace(scheme) == "https"
}
