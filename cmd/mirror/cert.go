package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/certs"
)

const day = 24 * time.Hour

func newCertCommand() *cobra.Command {
	var hosts []string
	var folder, client string
	var only bool
	var days int
	var o output
	cmd := &cobra.Command{
		Use:   "cert [--host NAME[,ADDRESS]...]",
		Short: "Create a certificate for TLS",
		Long: `Create a certificate for the server, signed by a private certificate authority. The first run also
creates the authority, which clients have to trust.

Later runs renew the certificate. They add the names of --host to the names in the certificate.
With --only, all other names are removed, and clients that use them can no longer connect. A running
server uses the new certificate without a restart.

With --client, create a client certificate, for servers that require one.`,
		Example: `  mirror cert --host reg.example,10.0.0.5
  mirror serve --tls-cert-file certs/server.crt --tls-key-file certs/server.key
  mirror cert
  mirror cert --client node-7`,
		Args: usage(noArguments),
		RunE: func(cmd *cobra.Command, _ []string) error {
			life := time.Duration(days) * day
			if days < 1 || days > 20*365 {
				return &exitError{exitUsage, fmt.Errorf("--days %d: want 1 to %d", days, 20*365)}
			}
			if client != "" && (only || len(hosts) > 0) {
				return &exitError{exitUsage, errors.New("--client cannot be combined with --host and --only")}
			}
			if only && len(hosts) == 0 {
				return &exitError{exitUsage, errors.New("--only needs the names to keep: set them with --host, such as --host reg.example,10.0.0.5")}
			}
			if client != "" {
				return makeClientCert(cmd.OutOrStdout(), folder, client, life, o.json)
			}
			return makeServerCert(cmd.OutOrStdout(), folder, hosts, only, life, o.json)
		},
	}
	f := cmd.Flags()
	o.flags(f)
	f.StringSliceVar(&hosts, "host", nil, "`names` and IP addresses that clients use; repeatable")
	f.BoolVar(&only, "only", false, "remove the names in the certificate that --host does not list")
	f.StringVar(&client, "client", "", "create a certificate for a client with this `name`")
	f.StringVar(&folder, "dir", "certs", "`folder` of the certificates and the authority")
	f.IntVar(&days, "days", 2*365, "days that the certificate is valid; the authority is valid for 20 years")
	f.SortFlags = false
	return cmd
}

func makeServerCert(out io.Writer, folder string, hosts []string, only bool, life time.Duration, asJSON bool) error {
	made, err := certs.Make(folder, hosts, only, life)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	ca := filepath.Join(folder, certs.AuthorityCert)
	if asJSON {
		return printJSON(out, madeCert{
			Certificate: filepath.Join(folder, certs.ServerCert), Key: filepath.Join(folder, certs.ServerKey), Authority: ca,
			Hosts: made.Hosts, Dropped: made.Dropped, Expires: made.Expires,
		})
	}
	if made.NewAuthority {
		fmt.Fprintf(out, "%s  a new authority, for clients to trust; keep %s secret\n", ca, filepath.Join(folder, certs.AuthorityKey))
	}
	fmt.Fprintf(out, "%s  for %s, until %s\n", filepath.Join(folder, certs.ServerCert), strings.Join(made.Hosts, ", "), made.Expires.Format("2006-01-02"))
	if len(made.Dropped) > 0 {
		fmt.Fprintf(out, "%s  no longer for %s: clients that use these names cannot connect\n", filepath.Join(folder, certs.ServerCert), strings.Join(made.Dropped, ", "))
	}
	name := made.Hosts[0]
	if len(hosts) > 0 {
		name = hosts[0] // the name that was added last
	}
	fmt.Fprintln(out)
	if !made.NewAuthority {
		fmt.Fprint(out, "A running server loads it by itself, within a few seconds. Clients that trust the authority need nothing new.\n\n")
	}
	fmt.Fprintf(out, `Use it with:

  mirror serve --tls-cert-file %[1]s/server.crt --tls-key-file %[1]s/server.key

Copy %[2]s to each client, with the port of the mirror in place of 5000:

  docker      /etc/docker/certs.d/%[3]s/ca.crt
  containerd  /etc/containerd/certs.d/%[3]s/ca.crt, named by ca = "…" in hosts.toml beside it
  podman      /etc/containers/certs.d/%[3]s/ca.crt (CRI-O, skopeo and buildah the same)
  system      /usr/local/share/ca-certificates/mirror.crt and update-ca-certificates (Debian, Ubuntu)
              /etc/pki/ca-trust/source/anchors/mirror.crt and update-ca-trust (Fedora, RHEL)

All files for a client: mirror client docker --host %[3]s --ca %[2]s
`, folder, ca, net.JoinHostPort(name, "5000"))
	return nil
}

// madeCert is a certificate that was created, in JSON.
type madeCert struct {
	Certificate string    `json:"certificate"` // paths
	Key         string    `json:"key"`
	Authority   string    `json:"authority"`
	Hosts       []string  `json:"hosts,omitempty"`
	Dropped     []string  `json:"dropped,omitempty"` // names that the certificate had before
	Expires     time.Time `json:"expires"`
}

func makeClientCert(out io.Writer, folder, name string, life time.Duration, asJSON bool) error {
	made, err := certs.MakeClient(folder, name, life)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if asJSON {
		path := filepath.Join(folder, name)
		return printJSON(out, madeCert{Certificate: path + ".crt", Key: path + ".key", Authority: filepath.Join(folder, certs.AuthorityCert), Expires: made.Expires})
	}
	fmt.Fprintf(out, `%[1]s/%[2]s.crt  for the client %[2]s, until %[3]s

To serve only clients with a certificate, use these settings:

  tls: {certFile: %[1]s/server.crt, keyFile: %[1]s/server.key, clientCAFile: %[1]s/ca.crt, requireClientCert: true}

To see where a client needs the two files, and to test them:

  mirror client docker --host NAME:5000 --ca %[1]s/ca.crt --cert %[1]s/%[2]s.crt --key %[1]s/%[2]s.key
`, folder, name, made.Expires.Format("2006-01-02"))
	return nil
}
