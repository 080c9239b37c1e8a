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

// transports makes connections: a pair of [http.Transport] for all endpoints that ask for nothing special, and one for
// each of the others. Of a pair, one dials any address and the other one public addresses only: connections are not
// shared between them.
type transportPool struct {
	any, public *http.Transport
}

func newTransportPool(opts Options) transportPool {
	t := transportPool{any: newTransport(opts), public: newTransport(opts)}
	if t.any.DialContext == nil {
		t.any.DialContext = (&net.Dialer{Timeout: opts.DialTimeout}).DialContext
		t.public.DialContext = (&net.Dialer{Timeout: opts.DialTimeout, Control: denyPrivate}).DialContext
	}
	t.public.DialContext = publicOnly(t.public.DialContext)
	t.public.Proxy = nil // what goes through a proxy is dialled by that
	return t
}

// newTransport returns the connections that upstreams share.
func newTransport(opts Options) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 100, IdleConnTimeout: 90 * time.Second}
	if opts.Transport != nil {
		t = opts.Transport.Clone()
	}
	t.ForceAttemptHTTP2 = true // else a DialContext turns HTTP/2 off
	t.MaxIdleConnsPerHost = 16 // layers are fetched side by side, and the default of 2 closes most of their connections
	t.TLSHandshakeTimeout = opts.Timeout
	t.ResponseHeaderTimeout = opts.BlobTimeout + opts.Timeout // of last resort: who asks waits for less
	t.DisableCompression = true
	// A connection whose other end is gone for good must not be used for the requests of the next quarter of an hour.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: opts.Timeout}
	return t
}

// to returns the way to endpoint e.
func (t transportPool) forEndpoint(c EndpointConfig, e Endpoint) (*addressGuard, error) {
	if c.Proxy == "" && c.TLS == (TLS{}) {
		return &addressGuard{endpoint: e, any: t.any, public: t.public}, nil
	}
	own := &addressGuard{endpoint: e, any: t.any.Clone(), public: t.public.Clone()}
	if proxy, err := c.proxy(); err != nil {
		return nil, err
	} else if proxy != nil {
		own.any.Proxy = http.ProxyURL(proxy)
	}
	if c.Proxy == noProxy {
		own.any.Proxy = nil
	}
	for _, transport := range []*http.Transport{own.any, own.public} {
		if transport.TLSClientConfig == nil {
			transport.TLSClientConfig = &tls.Config{}
		}
		if err := c.TLS.apply(transport.TLSClientConfig); err != nil {
			return nil, err
		}
	}
	return own, nil
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
