package config

import (
	"errors"
	"fmt"

	"airmirror/api/certs"
)

// TLS configures how clients are served over TLS. TLS is off if CertFile is empty.
type TLS struct {
	CertFile          string `yaml:"certFile" flag:"true"`
	KeyFile           string `yaml:"keyFile" flag:"true"`
	ClientCAFile      string `yaml:"clientCAFile"`
	RequireClientCert bool   `yaml:"requireClientCert"`
	RedirectHTTP      string `yaml:"redirectHTTP" flag:"true"`
}

// Enabled reports whether clients are served over TLS.
func (c TLS) Enabled() bool { return c.CertFile != "" }

func (c TLS) check() error {
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		return fmt.Errorf("%q: TLS needs both certFile and keyFile: 'mirror cert' creates them", c.CertFile)
	case !c.Enabled() && (c.ClientCAFile != "" || c.RequireClientCert || c.RedirectHTTP != ""):
		return errors.New("client certificates and redirects need TLS: set certFile and keyFile")
	case c.RequireClientCert && c.ClientCAFile == "":
		return errors.New("requireClientCert needs a clientCAFile to verify client certificates")
	}
	return nil
}

// Files returns the files as package certs takes them.
func (c TLS) Files() certs.Files {
	return certs.Files{Cert: c.CertFile, Key: c.KeyFile, ClientCA: c.ClientCAFile, RequireClient: c.RequireClientCert}
}
