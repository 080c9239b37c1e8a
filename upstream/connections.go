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

// transportPool has a pair of transports for all endpoints without settings of their own; the other endpoints get clones.
// One transport of a pair dials any address, the other one public addresses only. They do not share connections.
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
	t.public.Proxy = nil // a proxy would dial in place of this transport
	return t
}

// newTransport returns a transport with the settings that all upstreams share.
func newTransport(opts Options) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 100, IdleConnTimeout: 90 * time.Second}
	if opts.Transport != nil {
		t = opts.Transport.Clone()
	}
	t.ForceAttemptHTTP2 = true // a DialContext would disable HTTP/2
	t.MaxIdleConnsPerHost = 16 // layers are fetched concurrently; the default of 2 would close most of their connections
	t.TLSHandshakeTimeout = opts.Timeout
	t.ResponseHeaderTimeout = opts.BlobTimeout + opts.Timeout // a last resort: callers time out earlier
	t.DisableCompression = true
	// Without pings a connection to a host that has disappeared would be used for another quarter of an hour.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: opts.Timeout}
	return t
}

// forEndpoint returns the transports for endpoint e.
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

// apply adds the settings of t to c.
func (t TLS) apply(c *tls.Config) error {
	c.InsecureSkipVerify = c.InsecureSkipVerify || t.SkipVerify
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return fmt.Errorf("reading the CA certificates: %w", err)
		}
		if c.RootCAs, err = rootCAs(c.RootCAs); err != nil {
			return err
		}
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s contains no certificate in PEM", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return fmt.Errorf("reading the client certificate: %w", err)
		}
		c.Certificates = append(c.Certificates, cert)
	}
	return nil
}

// rootCAs returns a copy of pool, or of the system's certificates.
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
