// Package certs provides TLS configurations that follow certificate files while the server runs, and creates
// certificates for networks without a certificate authority.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"airmirror/api/filewatch"
)

// Files are the PEM files for serving TLS.
type Files struct {
	Cert string // the certificate, followed by intermediate certificates
	Key  string
	// ClientCA contains the authorities of client certificates. If it is empty, clients are not asked for one.
	ClientCA string
	// RequireClient refuses clients without a certificate. Otherwise, a certificate is verified if the client sends one.
	RequireClient bool
}

const (
	watchInterval = time.Second
	// warnBefore is how long before its expiry the log warns of a certificate, and warnInterval how often.
	warnBefore   = 30 * 24 * time.Hour
	warnInterval = 24 * time.Hour
)

// Watcher provides the TLS configuration that is in files, and loads it again when they change. While they cannot be
// loaded, as in the middle of their replacement, the previous configuration stays in effect. It is safe for concurrent
// use.
type Watcher struct {
	log     *zap.Logger
	current atomic.Pointer[watched]

	mu     sync.Mutex
	warned time.Time // of a certificate that clients refuse, or soon will
}

// watched is the configuration in a set of files.
type watched struct {
	files  Files
	config *filewatch.Value[*tls.Config]
}

// Watch loads files. log may be nil.
func Watch(files Files, log *zap.Logger) (*Watcher, error) {
	if log == nil {
		log = zap.NewNop()
	}
	w := &Watcher{log: log}
	use, err := w.Prepare(files)
	if err != nil {
		return nil, err
	}
	use()
	return w, nil
}

// Prepare loads files, changed or not: the current ones or others. They take effect when use is called.
func (w *Watcher) Prepare(files Files) (use func(), err error) {
	config, err := filewatch.New(filewatch.Options[*tls.Config]{
		Files: []string{files.Cert, files.Key, files.ClientCA}, Interval: watchInterval, Load: files.load, Log: w.log,
	})
	if err != nil {
		return nil, err
	}
	return func() {
		w.current.Store(&watched{files, config})
		w.mu.Lock()
		w.warned = time.Time{}
		w.mu.Unlock()
		w.config()
	}, nil
}

// Expires returns the time until which the certificate is valid.
func (w *Watcher) Expires() time.Time { return w.config().Certificates[0].Leaf.NotAfter }

// Config returns a configuration for a server. Open connections continue with the certificate that they started with.
func (w *Watcher) Config() *tls.Config {
	config := w.config().Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return w.config(), nil }
	return config
}

func (w *Watcher) config() *tls.Config {
	current := w.current.Load()
	config := current.config.Get()
	w.warn(current.files.Cert, config.Certificates[0].Leaf)
	return config
}

// warn logs from time to time that clients refuse the certificate, or soon will. The server goes on with it: the clock
// may be wrong, and some clients do not verify.
func (w *Watcher) warn(path string, leaf *x509.Certificate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.warned) < warnInterval {
		return
	}
	if why := defect(leaf, time.Now()); why != "" {
		w.warned = time.Now()
		w.log.Warn("clients refuse the certificate, or soon will", zap.String("file", path), zap.String("reason", why))
	}
}

// defect returns why clients refuse a certificate, or soon will; "" if they do not.
func defect(leaf *x509.Certificate, now time.Time) string {
	const day = time.DateOnly
	switch {
	case len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0:
		return "it has no subject alternative names, and clients ignore the common name: 'mirror cert --host NAME' makes a new one"
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("it is not valid before %s, and this machine's clock says %s", leaf.NotBefore.Format(day), now.Format(day))
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("it expired on %s: replace it, for example with 'mirror cert'", leaf.NotAfter.Format(day))
	case now.Add(warnBefore).After(leaf.NotAfter):
		return fmt.Sprintf("it expires on %s: replace it, for example with 'mirror cert'", leaf.NotAfter.Format(day))
	}
	return ""
}

func (files Files) load() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("cannot use the certificate %s with the key %s: %w", files.Cert, files.Key, err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if files.ClientCA == "" {
		return config, nil
	}
	text, err := os.ReadFile(files.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("cannot read the authorities of client certificates: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("cannot use %s: %w", files.ClientCA, errors.New("it contains no certificate"))
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if files.RequireClient {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}
