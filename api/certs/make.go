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
)

// The names of what [Make] writes.
const (
	AuthorityCert = "ca.crt"
	AuthorityKey  = "ca.key"
	ServerCert    = "server.crt"
	ServerKey     = "server.key"
)

// authorityLifetime is how long an authority lasts: longer than the machines, since each of them has to be told of a new one.
const authorityLifetime = 20 * 365 * 24 * time.Hour

// Result says what [Make] did.
type Result struct {
	NewAuthority bool      // there was none in the folder
	Expires      time.Time // the server's certificate
	Hosts        []string  // that the certificate is for
	Dropped      []string  // that the one before was for and this one is not
}

// Make writes a certificate for a server into folder, valid for life, signed by the private authority that is there; it
// makes one if there is none. hosts are names and IP addresses, all of which become subject alternative names: clients
// have long stopped reading a common name. They are added to those of the certificate that is in folder, unless only says
// that it is to have no others: clients that use a name which is dropped are cut off at once. The server's certificate and
// key are replaced together, the authority never.
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
		return Result{}, errors.New("a certificate needs the names or addresses that clients use, as --host reg.example,10.0.0.5: there is none yet that has some")
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

// hostsBefore returns the names and addresses of the server's certificate in folder; none where there is no certificate.
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
		return nil, fmt.Errorf("cannot read which names %s is for: it is not in PEM; --only makes one for no others than those of --host", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("cannot read which names %s is for: %w; --only makes one for no others than those of --host", path, err)
	}
	hosts = slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts, nil
}

// MakeClient writes a certificate for a client, called name, into folder as name.crt and name.key, valid for life. It is
// signed by the authority in folder, which must be there: a server that asks for certificates knows it already.
func MakeClient(folder, name string, life time.Duration) (Result, error) {
	if !mirror.ValidTag(name) || name == "ca" || name == "server" {
		return Result{}, fmt.Errorf("%q cannot be a client's name: it becomes that of a file", name)
	}
	if _, err := os.Stat(filepath.Join(folder, AuthorityCert)); err != nil {
		return Result{}, fmt.Errorf("there is no authority to sign with: %w", err)
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

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func loadAuthority(folder string) (authority pair, made bool, err error) {
	certPath, keyPath := filepath.Join(folder, AuthorityCert), filepath.Join(folder, AuthorityKey)
	certText, err := os.ReadFile(certPath)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(keyPath); err == nil {
			return pair{}, false, fmt.Errorf("%s is there and %s is not: put it back, or move the key away", keyPath, certPath)
		}
		authority, err = newAuthority(folder)
		return authority, true, err
	}
	if err != nil {
		return pair{}, false, err
	}
	keyText, err := os.ReadFile(keyPath)
	if err != nil {
		return pair{}, false, fmt.Errorf("the authority's key is needed to sign: %w", err)
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
		return pair{}, errors.New("it cannot sign")
	}
	if time.Now().Before(cert.NotBefore) {
		return pair{}, fmt.Errorf("it is not valid before %s: set the clock of this machine right, or move the authority away to have a new one made, and tell clients",
			cert.NotBefore.Format("2006-01-02"))
	}
	if time.Now().After(cert.NotAfter) {
		return pair{}, fmt.Errorf("it expired on %s: move it away to have a new one made, and tell clients", cert.NotAfter.Format("2006-01-02"))
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

// backdate makes up for clocks that are behind, as they are where no time server is reached.
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
	if len(name) > 64 { // what a common name may have
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

// sign makes a key, and a certificate of it signed by authority or, with none, by itself.
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

// write puts both files in their places, each whole or not at all. Nobody else may read the key, but for who was let read
// the one before.
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

func replace(path string, data []byte, mode os.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // it has its name by then
	if before, missing := os.Stat(path); missing == nil {
		err = likeBefore(temp, before, mode)
	} else {
		err = temp.Chmod(mode)
	}
	if err == nil {
		_, err = temp.Write(data)
	}
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
