package main

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

// addresses are what clients call this mirror, as far as it can know: the address that it listens on, with localhost and
// the machine's own name and addresses where that says all of them; the host of auth.url; the names in its certificate;
// and what ownNames says. An upstream that is configured is none of them.
func (c config) addresses() map[string]bool {
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
	if port != "0" { // any that is free
		for _, local := range append(c.machine(host), "localhost", "127.0.0.1", "::1") {
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
	for _, host := range c.hosts() {
		delete(own, mirror.CanonicalHost(host))
	}
	for alias := range upstream.Aliases(c.upstreams()) {
		delete(own, alias)
	}
	return own
}

// defaultPort is the port that a client leaves out.
func (c config) defaultPort() string {
	if c.TLS.enabled() {
		return "443"
	}
	return "80"
}

// machine returns host or, if that stands for every address, the name and the addresses of the machine.
func (c config) machine(host string) []string {
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return []string{host}
	}
	var all []string
	if name, err := os.Hostname(); err == nil && name != "" {
		all = append(all, name)
	}
	addresses, _ := net.InterfaceAddrs() // without them, those are not known
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && !network.IP.IsLinkLocalUnicast() {
			all = append(all, network.IP.String())
		}
	}
	return all
}

// certificateNames are the names and addresses in the server's certificate, but for wildcards. That it cannot be read is
// for who serves with it to tell.
func (c config) certificateNames() []string {
	if !c.TLS.enabled() {
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

// bracketed is a host as it is written without a port.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

func (c config) checkOwnNames() error {
	for _, name := range c.OwnNames {
		if !mirror.ValidHost(name) {
			return fmt.Errorf("%q is not an address: write it as clients do, reg.example or reg.example:5000", name)
		}
	}
	return nil
}
