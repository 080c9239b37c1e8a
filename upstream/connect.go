package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// transports makes connections: one [http.Transport] for all endpoints that ask for nothing special, and one for each
// of the others.
type transports struct {
	common *http.Transport
}

func newTransports(opts Options) transports { return transports{common: newTransport(opts)} }

// newTransport returns the connections that upstreams share.
func newTransport(opts Options) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 100, IdleConnTimeout: 90 * time.Second}
	if opts.Transport != nil {
		t = opts.Transport.Clone()
	}
	if t.DialContext == nil {
		t.DialContext = (&net.Dialer{Timeout: opts.DialTimeout}).DialContext
	}
	t.ForceAttemptHTTP2 = true // else a DialContext turns HTTP/2 off
	t.MaxIdleConnsPerHost = 16 // layers are fetched side by side, and the default of 2 closes most of their connections
	t.TLSHandshakeTimeout = opts.Timeout
	t.ResponseHeaderTimeout = 2 * opts.Timeout // of last resort: who asks waits for less
	t.DisableCompression = true
	// A connection whose other end is gone for good must not be used for the requests of the next quarter of an hour.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: opts.Timeout}
	return t
}

// to returns the connections to endpoint e.
func (t transports) to(e EndpointConfig) (*http.Transport, error) {
	if e.Proxy == "" && e.TLS == (TLS{}) {
		return t.common, nil
	}
	own := t.common.Clone()
	if proxy, err := e.proxy(); err != nil {
		return nil, err
	} else if proxy != nil {
		own.Proxy = http.ProxyURL(proxy)
	}
	if e.Proxy == noProxy {
		own.Proxy = nil
	}
	if own.TLSClientConfig == nil {
		own.TLSClientConfig = &tls.Config{}
	}
	return own, e.TLS.apply(own.TLSClientConfig)
}

// apply makes c what t says.
func (t TLS) apply(c *tls.Config) error {
	c.InsecureSkipVerify = c.InsecureSkipVerify || t.SkipVerify
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return fmt.Errorf("reading its CA certificates: %w", err)
		}
		if c.RootCAs, err = rootCAs(c.RootCAs); err != nil {
			return err
		}
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate in PEM", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return fmt.Errorf("reading its client certificate: %w", err)
		}
		c.Certificates = append(c.Certificates, cert)
	}
	return nil
}

// rootCAs is a copy of pool, or of the system's.
func rootCAs(pool *x509.CertPool) (*x509.CertPool, error) {
	if pool != nil {
		return pool.Clone(), nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the system's CA certificates: %w", err)
	}
	return pool, nil
}
