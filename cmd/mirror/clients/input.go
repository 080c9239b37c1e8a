package clients

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// SetHost sets the address of the mirror to text: an address, or a URL. It returns the scheme of the URL, "" for an address.
func (m *Mirror) SetHost(text string) (scheme string, err error) {
	if !strings.Contains(text, "://") {
		if strings.Contains(text, "/") {
			return "", errors.New("want an address such as reg.example:5000, or its URL, without a path")
		}
		m.Host = text
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", errors.New("want a URL such as https://reg.example:5000, without a path")
	}
	m.Host = u.Host
	return u.Scheme, nil
}

// CheckFiles checks the certificates and keys that are to be copied to clients.
func (m Mirror) CheckFiles() error {
	if m.CA != "" {
		text, err := os.ReadFile(m.CA)
		if err != nil {
			return fmt.Errorf("--ca: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(text) {
			return fmt.Errorf("--ca: %s contains no certificate", m.CA)
		}
	}
	if m.Cert != "" && m.Key != "" {
		if _, err := tls.LoadX509KeyPair(m.Cert, m.Key); err != nil {
			return fmt.Errorf("cannot use the certificate %s with the key %s: %w", m.Cert, m.Key, err)
		}
	}
	return nil
}
