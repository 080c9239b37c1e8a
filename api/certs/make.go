package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"airmirror/mirror"
	"airmirror/mirror/durable"
)

// The names of the files that [Make] writes.
const (
	AuthorityCert = "ca.crt"
	AuthorityKey  = "ca.key"
	ServerCert    = "server.crt"
	ServerKey     = "server.key"
)

// authorityLifetime exceeds the life of the machines, because every client has to be given a new authority.
const authorityLifetime = 20 * 365 * 24 * time.Hour

// Result is the result of [Make].
type Result struct {
	NewAuthority bool      // the folder had no authority, so Make created one
	Expires      time.Time // of the server's certificate
	Hosts        []string  // names and addresses in the certificate
	Dropped      []string  // names and addresses that the previous certificate had and this one does not
}

// Make writes a server certificate that is valid for life into folder. It is signed by the private authority in folder,
// which Make creates if there is none. hosts are names and IP addresses. All of them become subject alternative names,
// because clients ignore the common name. The names of the previous certificate in folder are kept, unless only is
// true; clients that use a dropped name can no longer connect. Make replaces the server's certificate and key, but
// never the authority.
func Make(folder string, hosts []string, only bool, life time.Duration) (Result, error) {
	before, err := hostsBefore(folder)
	if err != nil && !only {
		return Result{}, err
	}
	var dropped []string
	if only {
		dropped = slices.DeleteFunc(before, func(host string) bool { return slices.Contains(hosts, host) })
	} else {
		hosts = slices.Concat(before, slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return slices.Contains(before, host) }))
	}
	if len(hosts) == 0 {
		return Result{}, errors.New("a certificate needs the names or addresses that clients use: name them, as in --host reg.example,10.0.0.5")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return Result{}, err
	}
	authority, made, err := loadAuthority(folder)
	if err != nil {
		return Result{}, err
	}
	template, err := serverTemplate(hosts, life, authority.cert)
	if err != nil {
		return Result{}, err
	}
	server, err := sign(template, authority)
	if err != nil {
		return Result{}, err
	}
	chain := append(encode("CERTIFICATE", server.cert.Raw), encode("CERTIFICATE", authority.cert.Raw)...)
	if err := server.write(folder, ServerCert, ServerKey, chain); err != nil {
		return Result{}, err
	}
	return Result{NewAuthority: made, Expires: server.cert.NotAfter, Hosts: hosts, Dropped: dropped}, nil
}

// hostsBefore returns the names and addresses in the server certificate in folder. The list is empty if there is none.
func hostsBefore(folder string) (hosts []string, err error) {
	path := filepath.Join(folder, ServerCert)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("cannot read the names in %s: it is not in PEM; --only makes a certificate with only the names of --host", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("cannot read the names in %s: %w; --only makes a certificate with only the names of --host", path, err)
	}
	hosts = slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts, nil
}

// MakeClient writes a client certificate that is valid for life into folder, as name.crt and name.key. It is signed by
// the authority in folder, which must exist.
func MakeClient(folder, name string, life time.Duration) (Result, error) {
	if !mirror.ValidTag(name) || name == "ca" || name == "server" {
		return Result{}, fmt.Errorf("%q cannot be a client name: it must be a valid file name", name)
	}
	if _, err := os.Stat(filepath.Join(folder, AuthorityCert)); err != nil {
		return Result{}, fmt.Errorf("no authority to sign with: %w", err)
	}
	authority, _, err := loadAuthority(folder)
	if err != nil {
		return Result{}, err
	}
	template := leafTemplate(name, life, authority.cert)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	client, err := sign(template, authority)
	if err != nil {
		return Result{}, err
	}
	return Result{Expires: client.cert.NotAfter}, client.write(folder, name+".crt", name+".key", encode("CERTIFICATE", client.cert.Raw))
}

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func loadAuthority(folder string) (authority pair, made bool, err error) {
	certPath, keyPath := filepath.Join(folder, AuthorityCert), filepath.Join(folder, AuthorityKey)
	certText, err := os.ReadFile(certPath)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(keyPath); err == nil {
			return pair{}, false, fmt.Errorf("%s exists, but %s is missing: restore it, or move the key away", keyPath, certPath)
		}
		authority, err = newAuthority(folder)
		return authority, true, err
	}
	if err != nil {
		return pair{}, false, err
	}
	keyText, err := os.ReadFile(keyPath)
	if err != nil {
		return pair{}, false, fmt.Errorf("cannot read the key of the authority: %w", err)
	}
	authority, err = parse(certText, keyText)
	if err != nil {
		return pair{}, false, fmt.Errorf("cannot use the authority in %s: %w", folder, err)
	}
	return authority, false, nil
}

func parse(certText, keyText []byte) (pair, error) {
	certBlock, _ := pem.Decode(certText)
	keyBlock, _ := pem.Decode(keyText)
	if certBlock == nil || keyBlock == nil {
		return pair{}, errors.New("it is not in PEM")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return pair{}, err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return pair{}, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok || !cert.IsCA {
		return pair{}, errors.New("it cannot sign certificates")
	}
	if time.Now().Before(cert.NotBefore) {
		return pair{}, fmt.Errorf("it is not valid before %s: correct the clock of this machine, or move the authority away to create a new one that clients have to trust",
			cert.NotBefore.Format("2006-01-02"))
	}
	if time.Now().After(cert.NotAfter) {
		return pair{}, fmt.Errorf("it expired on %s: move it away to create a new one that clients have to trust", cert.NotAfter.Format("2006-01-02"))
	}
	return pair{cert, signer}, nil
}

func newAuthority(folder string) (pair, error) {
	now := time.Now()
	authority, err := sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "Airmirror private authority " + now.UTC().Format("2006-01-02")},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, pair{})
	if err != nil {
		return pair{}, err
	}
	return authority, authority.write(folder, AuthorityCert, AuthorityKey, encode("CERTIFICATE", authority.cert.Raw))
}

// backdate makes certificates valid for clients whose clocks are slow, which is common without a time server.
const backdate = 24 * time.Hour

func leafTemplate(name string, life time.Duration, authority *x509.Certificate) *x509.Certificate {
	now := time.Now()
	cert := &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate),
		NotAfter:  now.Add(life),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
	if cert.NotAfter.After(authority.NotAfter) {
		cert.NotAfter = authority.NotAfter
	}
	return cert
}

func serverTemplate(hosts []string, life time.Duration, authority *x509.Certificate) (*x509.Certificate, error) {
	name := hosts[0]
	if len(name) > 64 { // the limit of a common name
		name = ""
	}
	cert := leafTemplate(name, life, authority)
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		ip := net.ParseIP(host)
		switch {
		case ip != nil:
			cert.IPAddresses = append(cert.IPAddresses, ip)
		case mirror.ValidHost(host) && !hasPort(host):
			cert.DNSNames = append(cert.DNSNames, host)
		default:
			return nil, fmt.Errorf("%q is neither a host name nor an IP address", host)
		}
	}
	return cert, nil
}

func hasPort(host string) bool {
	_, _, err := net.SplitHostPort(host)
	return err == nil
}

// sign creates a key and a certificate for it. The certificate is signed by authority, or self-signed if authority is
// empty.
func sign(template *x509.Certificate, authority pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return pair{}, err
	}
	parent, signer := authority.cert, authority.key
	if parent == nil {
		parent, signer = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(raw)
	return pair{cert, key}, err
}

// write replaces both files, each atomically. Only the owner can read the key, and the group if it could read the
// previous one.
func (p pair) write(folder, certName, keyName string, chain []byte) error {
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(folder, keyName), encode("PRIVATE KEY", key), 0o600); err != nil {
		return err
	}
	return replace(filepath.Join(folder, certName), chain, 0o644)
}

// replace replaces the file at path. If the file exists, the new one gets its owner.
func replace(path string, data []byte, mode os.FileMode) error {
	return durable.Replace(path, data, func(file *os.File) error {
		if before, err := os.Stat(path); err == nil {
			return likeBefore(file, before, mode)
		}
		return file.Chmod(mode)
	})
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
