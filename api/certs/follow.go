// Package certs serves TLS with certificates that can change on disk while the server runs, and makes certificates for
// networks that have nobody to ask for one.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Files are what TLS is served with, all in PEM.
type Files struct {
	Cert string // the certificate, followed by those that lead to its authority
	Key  string
	// ClientCA has the authorities of clients' certificates; nobody is asked for one if it is empty.
	ClientCA string
	// RequireClient refuses clients without a certificate; otherwise it is checked only of those that show one.
	RequireClient bool
}

// lookInterval is how often it is looked whether the files changed, when clients connect.
const lookInterval = time.Second

// Follower holds what is in files, and takes it up anew when they change. While they cannot be read, or do not fit
// together, as in the middle of being replaced, it goes on with what it had. It is safe for concurrent use.
type Follower struct {
	log *zap.Logger

	mu     sync.Mutex
	files  Files
	config *tls.Config
	stamps [3]stamp
	looked time.Time
	warned time.Time // that clients refuse the certificate, or soon will
}

type stamp struct {
	modified time.Time
	size     int64
}

// Follow reads files. log may be nil.
func Follow(files Files, log *zap.Logger) (*Follower, error) {
	if log == nil {
		log = zap.NewNop()
	}
	f := &Follower{log: log}
	stamps := files.stampAll()
	config, err := files.load()
	if err != nil {
		return nil, err
	}
	f.take(files, config, stamps)
	f.looked = time.Now()
	return f, nil
}

// Expires is until when the certificate is valid.
func (f *Follower) Expires() time.Time { return f.current().Certificates[0].Leaf.NotAfter }

// Config is for a server. Connections that are open go on with the certificate that they began with.
func (f *Follower) Config() *tls.Config {
	config := f.current().Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.current(), nil }
	return config
}

// Prepare reads files now, changed or not: those of before, or others. They are served with, and followed, from when use is
// called.
func (f *Follower) Prepare(files Files) (use func(), err error) {
	stamps := files.stampAll()
	config, err := files.load()
	if err != nil {
		return nil, err
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.take(files, config, stamps)
	}, nil
}

// take has others be served with and followed.
func (f *Follower) take(files Files, config *tls.Config, stamps [3]stamp) {
	f.files, f.config, f.stamps = files, config, stamps
	f.warned = time.Time{}
	f.warn()
}

const (
	// soon is how long before its end a certificate is warned of, and warnInterval how often.
	warnBefore   = 30 * 24 * time.Hour
	warnInterval = 24 * time.Hour
)

// warn logs that clients refuse the certificate or soon will, once in a while. The server goes on with it: a clock may be
// wrong, and clients that do not look are served.
func (f *Follower) warn() {
	if time.Since(f.warned) < warnInterval {
		return
	}
	if why := defect(f.config.Certificates[0].Leaf, time.Now()); why != "" {
		f.warned = time.Now()
		f.log.Warn("clients refuse the certificate, or soon will", zap.String("file", f.files.Cert), zap.String("reason", why))
	}
}

// flaw says why clients do not take a certificate, or soon will not; "" if there is nothing.
func defect(leaf *x509.Certificate, now time.Time) string {
	const day = time.DateOnly
	switch {
	case len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0:
		return "it has no names but its subject's, which clients do not look at any more: 'mirror cert --host NAME' makes one that has"
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("it is not valid before %s, and it is %s by this machine's clock", leaf.NotBefore.Format(day), now.Format(day))
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("it has expired on %s: make a new one, as 'mirror cert' does, in its place", leaf.NotAfter.Format(day))
	case now.Add(warnBefore).After(leaf.NotAfter):
		return fmt.Sprintf("it expires on %s: make a new one, as 'mirror cert' does, in its place", leaf.NotAfter.Format(day))
	}
	return ""
}

func (f *Follower) current() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < lookInterval {
		return f.config
	}
	f.looked = time.Now()
	stamps := f.files.stampAll()
	if stamps == f.stamps {
		f.warn()
		return f.config
	}
	config, err := f.files.load()
	if err != nil {
		f.log.Warn("the certificate changed and cannot be used: going on with the one before", zap.Error(err))
		return f.config
	}
	f.log.Info("serving with the certificate that changed", zap.String("file", f.files.Cert))
	f.take(f.files, config, stamps)
	return f.config
}

func (files Files) stampAll() (stamps [3]stamp) {
	for i, path := range []string{files.Cert, files.Key, files.ClientCA} {
		if info, err := os.Stat(path); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
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
		return nil, fmt.Errorf("cannot read the authorities of clients: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("cannot use %s: %w", files.ClientCA, errors.New("there is no certificate in it"))
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if files.RequireClient {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}
