package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"airmirror/mirror"
	"airmirror/upstream"
)

// addresses returns the addresses that clients use for this mirror: the listen address, which includes localhost and the
// name and addresses of this machine if it is unspecified; the host of auth.url; the names in the certificate; and
// ownNames. The address of a configured upstream is not included.
func (c Config) addresses() map[string]bool {
	own := make(map[string]bool)
	add := func(host, port string) {
		if port != "" && port != "0" {
			own[strings.ToLower(net.JoinHostPort(host, port))] = true
		}
		if port == "" || port == c.defaultPort() {
			own[strings.ToLower(bracketed(host))] = true
		}
	}
	host, port, _ := net.SplitHostPort(c.Listen)
	if number, err := net.LookupPort("tcp", port); err == nil {
		port = fmt.Sprint(number)
	}
	if port != "0" { // 0 is any free port
		for _, local := range append(machineNames(host), "localhost", "127.0.0.1", "::1") {
			add(local, port)
		}
		for _, name := range c.certificateNames() {
			add(name, port)
			add(name, "")
		}
	}
	if u, err := url.Parse(c.Auth.URL); err == nil && u.Host != "" {
		own[strings.ToLower(u.Host)] = true
	}
	for _, name := range c.OwnNames {
		own[strings.ToLower(name)] = true
	}
	for _, host := range c.Hosts() {
		delete(own, mirror.CanonicalHost(host))
	}
	for alias := range upstream.Aliases(c.Registries()) {
		delete(own, alias)
	}
	return own
}

// defaultPort returns the port that clients leave out.
func (c Config) defaultPort() string {
	if c.TLS.Enabled() {
		return "443"
	}
	return "80"
}

// machineNames returns host or, if it is unspecified, the name and the addresses of this machine.
func machineNames(host string) []string {
	if !isUnspecified(host) {
		return []string{host}
	}
	var all []string
	if name, err := os.Hostname(); err == nil && name != "" {
		all = append(all, name)
	}
	addresses, _ := net.InterfaceAddrs() // without them, the mirror does not know its addresses
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && !network.IP.IsLinkLocalUnicast() {
			all = append(all, network.IP.String())
		}
	}
	return all
}

// isUnspecified reports whether a listen address with this host accepts connections to every address.
func isUnspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// certificateNames returns the names and addresses in the server's certificate, without wildcards. It returns nothing if
// the certificate cannot be read: the server reports that error when it starts.
func (c Config) certificateNames() []string {
	if !c.TLS.Enabled() {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
	if err != nil {
		return nil
	}
	leaf := pair.Leaf
	if leaf == nil {
		if leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil
		}
	}
	var names []string
	for _, name := range leaf.DNSNames {
		if mirror.ValidHost(name) {
			names = append(names, name)
		}
	}
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// bracketed returns a host as a URL has it without a port: an IPv6 address is in brackets.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

func (c Config) checkOwnNames() error {
	for _, name := range c.OwnNames {
		if !mirror.ValidHost(name) {
			return fmt.Errorf("%q is not an address: write it as reg.example or reg.example:5000", name)
		}
	}
	return nil
}

// PublicURL returns the URL that clients use for a mirror that listens on the address listen: auth.url, the first of
// ownNames, or listen itself, with the name of this machine if it is unspecified.
func (c Config) PublicURL(listen string) string {
	if c.Auth.URL != "" {
		return c.Auth.URL
	}
	scheme := "http://"
	if c.TLS.Enabled() {
		scheme = "https://"
	}
	if len(c.OwnNames) > 0 {
		return scheme + c.OwnNames[0]
	}
	return scheme + PublicAddress(listen)
}

// PublicAddress returns the address that other machines use for a mirror that listens on listen.
func PublicAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if isUnspecified(host) {
		host = HostName()
	}
	return net.JoinHostPort(host, port)
}

// HostName returns the name of this machine, or localhost if it has none.
func HostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}
